"""Downloads: long files of CSV, read page by page while they are sent. A file that could not be finished breaks off.

A reader that is slow holds a connection and nothing of the database. Downloads have database connections and threads of
their own, are few at once, and end: pages are answered whatever readers of downloads do.
"""

import asyncio
import logging
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

from aiohttp import web

from traderecon.sink.queries import Queries, TooManyRows
from traderecon.web.middleware import AGAIN_S, BadRequest

MOST = 4
"""Downloads that are sent at once; the next one is refused with 429."""
TOTAL_S = 1_800.0
"""A download that has not ended by then is cut off."""
PATIENCE_S = 30.0
LEAST_BYTES_PER_S = 16 * 1024
"""A reader may keep us waiting as long as its bytes take at this rate, and ``PATIENCE_S`` more."""

Chunks = Generator[bytes, None, None]

log = logging.getLogger(__name__)


class TooSlow(Exception):
    """The reader takes less than ``LEAST_BYTES_PER_S``."""


class Downloads:
    """The downloads of one process; ``queries`` is what they read from: nobody else uses its connections."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries.apart(MOST)
        self._threads = ThreadPoolExecutor(MOST, "download")
        self._running = 0

    async def send(self, request: web.Request, name: str, chunks: Callable[[Queries], Chunks]) -> web.StreamResponse:
        """Send a file of this name, made chunk by chunk in a thread; trouble before the second chunk is raised.

        ``chunks`` makes the bytes from the queries it is given. Refused: 429 where enough are being sent, 400 where
        there are too many rows for the order that was asked for.
        """
        if self._running >= MOST:
            raise BadRequest(
                429, f"{MOST} downloads are being sent, and no more at once: try again in {AGAIN_S[429]} s."
            )
        self._running += 1
        made = chunks(self._queries)
        try:
            begun = [await self._next(made), await self._next(made)]
            response = web.StreamResponse(headers=_named(name))
            response.content_type = "text/csv"
            response.charset = "utf-8"
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(request, response, begun, made)
            return response
        except TooManyRows:
            text = "There are too many rows for this order: with sort=trade_id any number can be sent."
            raise BadRequest(400, text) from None
        finally:
            self._running -= 1
            with suppress(ValueError):  # a server that stops leaves a thread in it
                made.close()

    async def _next(self, chunks: Chunks) -> bytes:
        loop = asyncio.get_running_loop()
        return cast(bytes, await loop.run_in_executor(self._threads, next, chunks, b""))

    async def _send(
        self, request: web.Request, response: web.StreamResponse, begun: list[bytes], chunks: Chunks
    ) -> None:
        reader = _Reader(response)
        try:
            async with asyncio.timeout(TOTAL_S):
                for chunk in begun:
                    await reader.take(chunk)
                while chunk := await self._next(chunks):
                    await reader.take(chunk)
                await response.write_eof()
        except ConnectionError:
            log.info("%s was not read to its end", request.path)
        except (TooSlow, TimeoutError):
            log.warning("%s was cut off after %d bytes: its reader was too slow", request.path, reader.bytes)
            _cut(request)
        except Exception:
            # The status is sent: only a connection that ends too early tells the reader that this is not all.
            log.exception("%s broke off", request.path)
            _cut(request)


class _Reader:
    """How long a reader may still keep us waiting; what it took quickly earns it no more than ``PATIENCE_S``."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._left_s = PATIENCE_S
        self.bytes = 0

    async def take(self, chunk: bytes) -> None:
        """Send a chunk. TooSlow."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        allowed_s = self._left_s + len(chunk) / LEAST_BYTES_PER_S
        try:
            await asyncio.wait_for(self._response.write(chunk), allowed_s)
        except TimeoutError:
            raise TooSlow from None
        self._left_s = min(PATIENCE_S, allowed_s - (loop.time() - began))
        self.bytes += len(chunk)


def short_file(name: str, content: bytes) -> web.Response:
    """A file of CSV that is whole already."""
    return web.Response(body=content, content_type="text/csv", charset="utf-8", headers=_named(name))


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
