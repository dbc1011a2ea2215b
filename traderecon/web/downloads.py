"""Downloads: chunks of CSV to whoever asked, read while they are sent. A file that could not be finished breaks off."""

import asyncio
import logging
from collections.abc import Generator
from contextlib import suppress

from aiohttp import web

STALL_S = 60.0
"""A reader that takes nothing for so long is cut off: a download holds the database's past."""

Chunks = Generator[bytes, None, None]

log = logging.getLogger(__name__)


async def download(request: web.Request, chunks: Chunks, name: str) -> web.StreamResponse:
    """Send a file of this name, made chunk by chunk in a thread; trouble before the second chunk is raised."""
    try:
        begun = [await asyncio.to_thread(next, chunks, b""), await asyncio.to_thread(next, chunks, b"")]
        response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}"'})
        response.content_type = "text/csv"
        response.charset = "utf-8"
        await response.prepare(request)
        if request.method != "HEAD":
            await _send(request, response, begun, chunks)
        return response
    finally:
        with suppress(ValueError):  # a server that stops leaves a thread in it
            chunks.close()


async def _send(request: web.Request, response: web.StreamResponse, begun: list[bytes], chunks: Chunks) -> None:
    try:
        for chunk in begun:
            await asyncio.wait_for(response.write(chunk), STALL_S)
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await asyncio.wait_for(response.write(chunk), STALL_S)
        await response.write_eof()
    except ConnectionError:
        log.info("%s was not read to its end", request.path)
    except Exception:
        # The status is sent: only a connection that ends too early tells the reader that this is not all.
        log.exception("%s broke off", request.path)
        if request.transport is not None:
            request.transport.abort()
