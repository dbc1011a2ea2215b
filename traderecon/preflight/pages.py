"""Where pages, metrics and health are to listen: whether that is possible, and who reaches them there."""

import errno
import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Final

from traderecon.preflight.findings import Finding, bad, ok, warn
from traderecon.settings import Settings

ANSWER_S: Final = 2.0
MOST_BYTES: Final = 65_536


def web_host(settings: Settings) -> Iterator[Finding]:
    """A warning where others than this machine reach the pages."""
    host = settings.web_host
    try:
        addresses = {str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return  # a finding about the port says so
    if not all(address.startswith("127.") or address == "::1" for address in addresses):
        text = f"{host} is not loopback, and there is no authentication yet: whoever reaches it sees every trade"
        yield warn("web host", text, "leave TRADERECON_WEB_HOST out, or see docs/operations.md")


def web_port(settings: Settings) -> Iterator[Finding]:
    """Whether the pages can listen; a default port that is taken is no problem: the next free one is used."""
    host, port = settings.web_host, settings.web_port
    named = "web_port" in settings.model_fields_set
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        if named and _answers(host, port):
            text = f"a worker of TradeRecon answers at {host}:{port}"
            yield warn(
                "web port", text, "nothing, if that is yours; a second one here needs another TRADERECON_WEB_PORT"
            )
        else:
            yield _refused(f"{host}:{port}", error, named=named)
    else:
        yield ok("web port", f"{host}:{port} is free")


def _answers(host: str, port: int) -> bool:
    """Whether health is answered there as a worker answers it."""
    connection = HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/healthz/live")
        health = json.loads(connection.getresponse().read(MOST_BYTES))
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(health, dict) and health.keys() >= {"live", "roles"}


def _refused(where: str, error: OSError, *, named: bool) -> Finding:
    if error.errno == errno.EADDRINUSE and not isinstance(error, socket.gaierror):
        if not named:
            return ok("web port", f"{where} is taken, perhaps by another worker: the next free port is used")
        text = f"{where} is taken, perhaps by a worker that is running"
        return bad("web port", text, "stop what uses it, or name another in TRADERECON_WEB_PORT", unreachable=True)
    if error.errno == errno.EACCES and not isinstance(error, socket.gaierror):
        text = f"this user may not listen on {where}"
        return bad("web port", text, "name a port above 1023 in TRADERECON_WEB_PORT", unreachable=True)
    text = f"nothing can listen on {where} ({error.strerror})"
    return bad("web port", text, "correct TRADERECON_WEB_HOST", unreachable=True)
