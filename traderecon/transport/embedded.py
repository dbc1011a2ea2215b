"""The embedded log as a Faust transport: the same agents and tables without Kafka, in one worker process.

embedded://                     the log is in the app's data directory
embedded:///absolute/path       the log is in this directory; apps of one process share it and its writer. Reserved
                                characters are percent-encoded, see ``traderecon.addresses``
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from faust.exceptions import NotReady, ProducerSendError
from faust.transport import base
from faust.transport.producer import Producer
from faust.types import TP
from faust.types.tuples import RecordMetadata

from traderecon import clock
from traderecon.addresses import EMBEDDED, embedded_directory
from traderecon.exit_codes import Exit
from traderecon.transport.embedded_consumer import EmbeddedConsumer
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.fetcher import BatchFetcher
from traderecon.transport.log import Log, LogError, OpenLog, TopicDiffers, Writer
from traderecon.transport.microbatch import Outgoing, Record, partition_for
from traderecon.transport.producer import BatchProducer, ClockReading

READ_RECORDS = 10_000
"""Records per step of a range read."""


class _Sender(Producer):
    """Sends single records, for Faust's own producer calls."""

    transport: "Transport"

    async def send(  # noqa: PLR0917  # the way Faust calls it
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Append one record; await the result for its acknowledgement. ``timestamp``: seconds since 1970."""
        if partition is None:
            partition = self.transport.partition(topic, key)
        timestamp_ms = self.transport.now_ms() if timestamp is None else round(timestamp * 1000)
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        offset = self.transport.writer.append(topic, partition, [(key, value, timestamp_ms, tuple(pairs))])
        return asyncio.ensure_future(_metadata(offset, TP(topic, partition), timestamp_ms))

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Append one record, and wait until it is durable."""
        return await (await self.send(*args, **kwargs))


class EmbeddedProducer(BatchProducer, _Sender):
    """Appends batches to the embedded log."""

    async def on_start(self) -> None:
        """Open the log."""
        self.transport.open(worker=False)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Finish pending writes and release the log."""
        await super().on_shutdown()
        self.transport.close()

    @property
    def log_times(self) -> Mapping[str, ClockReading]:
        """The current time of this log's only clock."""
        boot_ms = clock.boot_ms()
        return {"this machine": ClockReading(clock.now_ms(), boot_ms, boot_ms)}

    @property
    def log_ahead_ms(self) -> int:
        """How far the log's time was put ahead of this machine's clock."""
        return self.transport.log.ahead_ms()

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows in order and wait until they are synced; return their span of offsets.

        All pending appends go into one transaction. While another process holds the log's write lock, this call waits.
        Rows that the log rejects or has no space for raise ``ProducerSendError``.
        """
        if not rows:
            return []
        now_ms = self.transport.now_ms()
        entries = [
            (key, value, now_ms if timestamp_ms is None else timestamp_ms, headers)
            for key, value, timestamp_ms, headers in rows
        ]
        try:
            append = asyncio.wrap_future(self.transport.writer.append(topic, partition, entries))
            hit(Failpoint.SENT, topic)
            base = await append
        except LogError as error:
            raise ProducerSendError(f"{topic}[{partition}] did not accept {len(rows)} records: {error}") from error
        return [range(base, base + len(rows))]

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Create a topic; the process ends, 78, if it exists with other partitions or another cleanup policy."""
        await self.transport.create_topic(topic, partitions, **kwargs)

    def key_partition(self, topic: str, key: bytes) -> TP:
        """The partition a key belongs to."""
        return TP(topic, self.transport.partition(topic, key))

    def supports_headers(self) -> bool:
        """Yes."""
        return True


class Transport(base.Transport):
    """``embedded://``, or with the absolute path of a directory."""

    app: Any
    Consumer = EmbeddedConsumer
    Fetcher = BatchFetcher
    Producer = EmbeddedProducer
    default_port = 0
    driver_version = f"sqlite={sqlite3.sqlite_version}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opened: OpenLog | None = None

    def open(self, *, worker: bool) -> None:
        """Open the log; the process ends, 78, if it cannot be opened or already has a worker."""
        if self.url[0].host:
            fail_stop(
                f"{self.url[0]} contains a host: write embedded:///absolute/path, or only embedded://", code=Exit.CONFIG
            )
        directory = embedded_directory(EMBEDDED + self.url[0].raw_path) or Path(self.app.conf.datadir)
        try:
            self._opened = OpenLog.of(directory, worker=worker)
        except (LogError, OSError) as error:
            fail_stop(str(error), code=Exit.CONFIG)

    def close(self) -> None:
        """Release the log, if it was opened."""
        if self._opened is not None:
            self._opened.release()
            self._opened = None

    @property
    def log(self) -> Log:
        """The log, open."""
        return self._open_log().log

    @property
    def writer(self) -> Writer:
        """The thread that writes to it."""
        return self._open_log().writer

    def _open_log(self) -> OpenLog:
        if self._opened is None:
            raise NotReady("the embedded log is not open: its consumer or producer has not been started")
        return self._opened

    def now_ms(self) -> int:
        """The log's time in milliseconds since 1970, UTC, for records without a timestamp."""
        return clock.now_ms() + self.log.ahead_ms()

    def partition(self, topic: str, key: bytes | None) -> int:
        """The partition of a key; the first for a record without one."""
        return 0 if key is None else partition_for(key, self.log.partitions(topic))

    async def create_topic(
        self, topic: str, partitions: int, *, compacting: bool | None = None, deleting: bool | None = None, **_: Any
    ) -> None:
        """Create a topic; the process ends, 78, if it exists with other partitions or another cleanup policy."""
        try:
            await asyncio.to_thread(self.log.create, topic, partitions, compacted=bool(compacting and not deleting))
        except TopicDiffers as error:
            fail_stop(str(error), code=Exit.CONFIG)

    async def read(
        self, spans: Mapping[TP, range], *, refuse_unreadable: bool = True
    ) -> AsyncIterator[tuple[TP, Sequence[Record]]]:
        """Read every span, in order, in steps of (partition, records).

        Offsets without a record are skipped. Every record of this log is readable.
        """
        for tp, span in spans.items():
            offset = span.start
            while offset < span.stop and (records := self.log.read(*tp, offset, READ_RECORDS)):
                offset = records[-1].offset + 1
                within = records if offset <= span.stop else [record for record in records if record.offset < span.stop]
                if within:
                    yield tp, within
                await asyncio.sleep(0)


async def _metadata(append: Future[int], tp: TP, timestamp_ms: int) -> RecordMetadata:
    offset = await asyncio.wrap_future(append)
    return RecordMetadata(tp.topic, tp.partition, tp, offset, timestamp_ms, 0)
