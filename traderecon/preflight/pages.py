"""Checks of the address of pages, metrics and health: whether a worker can listen there, and who can reach it."""

import errno
import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Final

from traderecon.preflight.findings import Finding, bad, ok, warn
from traderecon.settings import Settings

ANSWER_S: Final = 2.0
MAX_BYTES: Final = 65_536


def web_host(settings: Settings) -> Iterator[Finding]:
    """Warn if the pages can be reached from other machines."""
    host = settings.web_host
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return  # reported by web_port
    if not all(address.startswith("127.") or address == "::1" for address in addresses):
        text = f"{host} is not loopback, and there is no authentication yet: anyone who can reach it sees every trade"
        yield warn("web host", text, "unset TRADERECON_WEB_HOST, or see docs/operations.md")


def web_port(settings: Settings) -> Iterator[Finding]:
    """Whether the pages can listen; a default port in use is fine, the next free one is taken."""
    host, port = settings.web_host, settings.web_port
    explicit = "web_port" in settings.model_fields_set
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        if explicit and _worker_answers(host, port):
            text = f"a TradeRecon worker answers at {host}:{port}"
            yield warn("web port", text, "if you want a second worker here, set another TRADERECON_WEB_PORT for it")
        else:
            yield _bind_error(f"{host}:{port}", error, explicit=explicit)
    else:
        yield ok("web port", f"{host}:{port} is free")


def _worker_answers(host: str, port: int) -> bool:
    """Whether the health endpoint there is a worker's."""
    connection = HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/healthz/live")
        health = json.loads(connection.getresponse().read(MAX_BYTES))
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(health, dict) and health.keys() >= {"live", "roles"}


def _bind_error(address: str, error: OSError, *, explicit: bool) -> Finding:
    if error.errno == errno.EADDRINUSE and not isinstance(error, socket.gaierror):
        if not explicit:
            return ok("web port", f"{address} is in use, perhaps by another worker: the next free port is used")
        text = f"{address} is in use, perhaps by another worker"
        todo = "stop the process that uses it, or set another TRADERECON_WEB_PORT"
        return bad("web port", text, todo, unreachable=True)
    if error.errno == errno.EACCES and not isinstance(error, socket.gaierror):
        text = f"this user is not allowed to listen on {address}"
        return bad("web port", text, "set TRADERECON_WEB_PORT above 1023", unreachable=True)
    text = f"cannot listen on {address} ({error.strerror})"
    return bad("web port", text, "correct TRADERECON_WEB_HOST", unreachable=True)
