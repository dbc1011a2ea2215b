"""Downloads: long CSV files, read page by page while they are sent. On an error the connection is cut.

A slow client holds a connection but no database transaction. Downloads have their own database connections and threads,
and limits on number and duration, so they cannot keep pages from being answered.
"""

import asyncio
import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

from aiohttp import web

from traderecon.sink.queries import Queries, TooManyRows
from traderecon.web.middleware import RETRY_AFTER_S, BadRequest

MOST = 4
"""Most concurrent downloads; further ones are rejected with 429."""
TOTAL_S = 1_800.0
"""A download that takes longer is cut off."""
GRACE_S = 30.0
MIN_BYTES_PER_S = 16 * 1024
"""A client may take as long as its bytes need at this rate, plus ``GRACE_S``."""

Chunks = Generator[bytes, None, None]

log = logging.getLogger(__name__)


class TooSlow(Exception):
    """The client reads less than ``MIN_BYTES_PER_S``."""


class Downloads:
    """The downloads of one process, with their own connections to the database of ``queries``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries.with_own_connections(MOST)
        self._threads = ThreadPoolExecutor(MOST, "download")
        self._running = 0

    async def send(self, request: web.Request, name: str, chunks: Callable[[Queries], Chunks]) -> web.StreamResponse:
        """Send a file with this name, generated in a thread; errors before the second chunk are raised.

        ``chunks`` generates the bytes from the queries. BadRequest: 429 if too many downloads are running, 400 if there
        are too many rows for the requested order.
        """
        if self._running >= MOST:
            raise BadRequest(
                429, f"{MOST} downloads are running, which is the limit: try again in {RETRY_AFTER_S[429]} s."
            )
        self._running += 1
        content = chunks(self._queries)
        try:
            first = [await self._next(content), await self._next(content)]
            response = web.StreamResponse(headers=_named(name))
            response.content_type = "text/csv"
            response.charset = "utf-8"
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(request, response, first, content)
            return response
        except TooManyRows:
            text = "There are too many rows to sort this way: use sort=trade_id, which has no limit."
            raise BadRequest(400, text) from None
        finally:
            self._running -= 1
            with suppress(ValueError):  # at shutdown a thread may still be running it
                content.close()

    async def _next(self, chunks: Chunks) -> bytes:
        loop = asyncio.get_running_loop()
        return cast(bytes, await loop.run_in_executor(self._threads, next, chunks, b""))

    async def _send(
        self, request: web.Request, response: web.StreamResponse, first: list[bytes], chunks: Chunks
    ) -> None:
        client = _Client(response)
        try:
            async with asyncio.timeout(TOTAL_S):
                for chunk in first:
                    await client.write(chunk)
                while chunk := await self._next(chunks):
                    await client.write(chunk)
                await response.write_eof()
        except ConnectionError:
            log.info("%s: the client closed the connection before the end", request.path)
        except (TooSlow, TimeoutError):
            log.warning("%s: cut off after %d bytes, the client is too slow", request.path, client.bytes)
            _abort(request)
        except Exception:
            # The status is sent already: only cutting the connection tells the client that the file is incomplete.
            log.exception("%s: failed while it was sent, cut off", request.path)
            _abort(request)


class _Client:
    """The receiver of a download, with the time it may still take; a fast one saves up at most ``GRACE_S``."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._left_s = GRACE_S
        self.bytes = 0

    async def write(self, chunk: bytes) -> None:
        """Send a chunk. TooSlow."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        allowed_s = self._left_s + len(chunk) / MIN_BYTES_PER_S
        try:
            await asyncio.wait_for(self._response.write(chunk), allowed_s)
        except TimeoutError:
            raise TooSlow from None
        self._left_s = min(GRACE_S, allowed_s - (loop.time() - started_s))
        self.bytes += len(chunk)


def short_file(name: str, content: bytes) -> web.Response:
    """A CSV file whose content is complete."""
    return web.Response(body=content, content_type="text/csv", charset="utf-8", headers=_named(name))


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
