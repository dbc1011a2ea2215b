"""The HTTP server below the pages: limits on connections and their idle time, and answers to malformed requests.

    connection -> admitted, perhaps in place of an idle one, or 503 -> request -> the app's handler

A client gets no more than its share of the connections, and cannot exhaust the open files of the pipeline.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from traderecon.open_files import most_connections
from traderecon.web.middleware import HEADERS

PER_ADDRESS = 64
"""Most concurrent connections of one client address."""
SILENT_S = 20.0
"""A connection is closed if its request is not complete after this time, or no further request comes."""
STALL_S = 120.0
"""A connection is closed if the client reads nothing of the response for this time."""
LINGER_S = 2.0
"""How long an unwanted request body is read before the connection is closed."""
LEAVE_S = 5.0
"""How long a stopping server waits for responses in progress."""

log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs an app on the server below."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app, access_log=None, keepalive_timeout=SILENT_S, lingering_time=LINGER_S, shutdown_timeout=LEAVE_S
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        loop = asyncio.get_running_loop()
        return Server(server.request_handler, request_factory=server.request_factory, loop=loop, **server._kwargs)


class Server(web.Server):
    """A server that limits its connections, in total and by client address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = most_connections()
        self._open: dict[Connection, str] = {}
        """The client address of each connection, oldest first."""

    def __call__(self) -> RequestHandler:
        """The protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, connection: "Connection", address: str) -> bool:
        """Admit a connection; beyond a limit it replaces the oldest idle one, or is rejected (False)."""
        same_address = [other for other, other_address in self._open.items() if other_address == address]
        if len(same_address) >= min(PER_ADDRESS, self._most):
            replaceable = same_address
        elif len(self._open) >= self._most:
            replaceable = list(self._open)
        else:
            replaceable = []
        if replaceable:
            idle = next((other for other in replaceable if other.idle), None)
            if idle is None:
                return False
            del self._open[idle]
            idle.force_close()
        self._open[connection] = address
        return True

    def release(self, connection: "Connection") -> None:
        """Forget a closed connection. Idempotent."""
        self._open.pop(connection, None)


class Connection(RequestHandler):
    """One connection of a client."""

    __slots__ = ("_stalled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is in progress."""
        return not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or answer 503."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if cast(Server, self._manager).admit(self, address):
            super().connection_made(transport)
            return
        log.info("rejected a connection from %s: too many connections", address)
        self._force_close = True
        self._manager = None  # the connection was never set up
        cast(asyncio.Transport, transport).write(_full())
        cast(asyncio.Transport, transport).close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release the connection."""
        if self._manager is not None:
            cast(Server, self._manager).release(self)
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than the response is written: start the stall timer."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self._loop.call_later(STALL_S, self._abort)

    def resume_writing(self) -> None:
        """The client has read most of it: stop the stall timer."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request, or one that failed outside the pages, and close the connection."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            log.info("malformed request from %s: %s", request.remote, exc)
        else:
            log.error("error in the HTTP server: %r", exc, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has been sent in part")
        response = web.Response(status=status, text=f"{status} {HTTPStatus(status).phrase}\n")
        response.headers.update({**HEADERS, "Cache-Control": "no-store"})
        response.force_close()
        return response


def _full() -> bytes:
    headers = {**HEADERS, "Cache-Control": "no-store", "Connection": "close", "Content-Length": "0", "Retry-After": "5"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode()
