"""A table on the embedded log of a directory, without a worker: for the tests of tables."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from traderecon.tables import BatchTable, watermarks
from traderecon.transport import LOG_APPEND_TIME, MicroBatch
from traderecon.transport.app import StreamApp

CHANGELOG = "t-rows-changelog"
APPLIED = b"\x00applied\x00legs"


class Row(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_type: int = LOG_APPEND_TIME


def batch(*offsets: int) -> MicroBatch:
    return MicroBatch("legs", 0, [Row(offset) for offset in offsets])


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[BatchTable]:
    """A table on the embedded log of a directory, without a worker."""
    app = StreamApp("t", broker="embedded://", data_dir=directory)
    table = BatchTable(app, name="rows", partitions=1, monotonic=watermarks.MONOTONIC)
    app.tables.add(table)
    app.transport.open(worker=False)
    await app.producer.start()
    app.transport.log.create(CHANGELOG, 1, compacted=True)
    try:
        yield table
    finally:
        await app.producer.stop()
        await table.data.stop()
        app.transport.close()


def play(directory: Path, story: Callable[[BatchTable], Awaitable[None]]) -> None:
    async def told() -> None:
        async with opened(directory) as table:
            await story(table)

    asyncio.run(told())
