"""The server below the pages: how many connections there are, how long one may be silent, who is told it is no request.

    connection -> admitted, or in place of one that has asked nothing yet, or 503 -> request -> the app's handler

A client can take no more than its share of the connections, and none of the pipeline's files.
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
"""Connections of one client address at once."""
SILENT_S = 20.0
"""A connection whose request has not come whole by then is closed; so is one that asks nothing more."""
STALL_S = 120.0
"""A connection that takes nothing of its answer for so long is closed."""
LINGER_S = 2.0
"""A body, of which we want none, is read for so long, then the connection is closed."""
LEAVE_S = 5.0
"""How long a server that stops waits for answers that are on their way."""

log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs an app with connections of the kind below."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app, access_log=None, keepalive_timeout=SILENT_S, lingering_time=LINGER_S, shutdown_timeout=LEAVE_S
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        loop = asyncio.get_running_loop()
        return Server(made.request_handler, request_factory=made.request_factory, loop=loop, **made._kwargs)


class Server(web.Server):
    """Counts the connections it has, by client address."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._most = most_connections()
        self._open: dict[Connection, str] = {}
        """In the order they were made."""

    def __call__(self) -> RequestHandler:
        """A connection that is about to be made."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, connection: "Connection", address: str) -> bool:
        """Take a connection in; where that is one too many, in place of the oldest that has asked nothing yet."""
        mine = [other for other, of in self._open.items() if of == address]
        if len(mine) >= min(PER_ADDRESS, self._most):
            rivals = mine
        elif len(self._open) >= self._most:
            rivals = list(self._open)
        else:
            rivals = []
        if rivals:
            idle = next((other for other in rivals if other.idle), None)
            if idle is None:
                return False
            del self._open[idle]
            idle.force_close()
        self._open[connection] = address
        return True

    def left(self, connection: "Connection") -> None:
        """A connection has ended. A second time does nothing."""
        self._open.pop(connection, None)


class Connection(RequestHandler):
    """One connection of a client."""

    __slots__ = ("_stalled",)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request of it is being answered."""
        return not self._request_in_progress and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or tell it that there is no room."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if cast(Server, self._manager).admit(self, address):
            super().connection_made(transport)
            return
        log.info("a connection of %s is one too many", address)
        self._force_close = True
        self._manager = None  # nothing of it was begun
        cast(asyncio.Transport, transport).write(_full())
        cast(asyncio.Transport, transport).close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        if self._manager is not None:
            cast(Server, self._manager).left(self)
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes its answer slower than it comes."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self._loop.call_later(STALL_S, self._abort)

    def resume_writing(self) -> None:
        """It has taken most of what was there."""
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
        """The answer to what is no request, or to one whose handler failed below our pages; it ends the connection."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            log.info("what %s sent is no request: %s", request.remote, exc)
        else:
            log.error("error below the pages: %r", exc, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("some of the answer has been sent already")
        answer = web.Response(status=status, text=f"{status} {HTTPStatus(status).phrase}\n")
        answer.headers.update({**HEADERS, "Cache-Control": "no-store"})
        answer.force_close()
        return answer


def _full() -> bytes:
    headers = {**HEADERS, "Cache-Control": "no-store", "Connection": "close", "Content-Length": "0", "Retry-After": "5"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode()
