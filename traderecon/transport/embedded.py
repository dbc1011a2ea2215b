"""The embedded log as a Faust transport: the same agents and tables without a Kafka, in one worker process.

embedded://                     the log is in the app's data directory
embedded:///absolute/path       the log is in this directory: apps of one process share it, and its writer; what a URL
                                has a use for is quoted, see ``traderecon.addresses``
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
"""Records of one step of a range read."""


class _Sender(Producer):
    """Records sent one by one, in Faust's way."""

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
        """Append one record; what comes back is to be awaited. ``timestamp``: seconds since 1970."""
        if partition is None:
            partition = self.transport.partition(topic, key)
        timestamp_ms = self.transport.now_ms() if timestamp is None else round(timestamp * 1000)
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        appended = self.transport.writer.append(topic, partition, [(key, value, timestamp_ms, tuple(pairs))])
        return asyncio.ensure_future(_acknowledged(appended, TP(topic, partition), timestamp_ms))

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Append one record, and wait until it is durable."""
        return await (await self.send(*args, **kwargs))


class EmbeddedProducer(BatchProducer, _Sender):
    """Batches to the embedded log."""

    async def on_start(self) -> None:
        """Open the log."""
        self.transport.open(worker=False)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Let go of the log; what was sent is written before."""
        await super().on_shutdown()
        self.transport.close()

    @property
    def log_times(self) -> Mapping[str, ClockReading]:
        """The one clock of this log, read now."""
        boot_ms = clock.boot_ms()
        return {"this machine": ClockReading(clock.now_ms(), boot_ms, boot_ms)}

    @property
    def log_ahead_ms(self) -> int:
        """What the log was told to be ahead of this machine's clock."""
        return self.transport.log.ahead_ms()

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows in order, and wait until they are synced; gives the span of offsets they got.

        What is pending when the writer comes by is one transaction. While another process keeps the log to itself, it
        waits; what the log refuses, or has no room for, raises ``ProducerSendError``.
        """
        if not rows:
            return []
        unstamped = self.transport.now_ms()
        entries = [
            (key, value, unstamped if timestamp_ms is None else timestamp_ms, headers)
            for key, value, timestamp_ms, headers in rows
        ]
        try:
            appended = asyncio.wrap_future(self.transport.writer.append(topic, partition, entries))
            hit(Failpoint.SENT, topic)
            base = await appended
        except LogError as error:
            raise ProducerSendError(f"{topic}[{partition}] did not take {len(rows)} records: {error}") from error
        return [range(base, base + len(rows))]

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Make a topic, compacted if it is to be so; one that is there otherwise ends the process, 78."""
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
        """Open the log; one that cannot be opened, or has a worker already, ends the process, 78."""
        if self.url[0].host:
            fail_stop(
                f"{self.url[0]} names a host: write embedded:///absolute/path, or embedded:// alone", code=Exit.CONFIG
            )
        directory = embedded_directory(EMBEDDED + self.url[0].raw_path) or Path(self.app.conf.datadir)
        try:
            self._opened = OpenLog.of(directory, worker=worker)
        except (LogError, OSError) as error:
            fail_stop(str(error), code=Exit.CONFIG)

    def close(self) -> None:
        """Let go of the log, if it was opened."""
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
        """The log's time in milliseconds since 1970, UTC, for records that nobody gave a timestamp."""
        return clock.now_ms() + self.log.ahead_ms()

    def partition(self, topic: str, key: bytes | None) -> int:
        """The partition of a key; the first for a record without one."""
        return 0 if key is None else partition_for(key, self.log.partitions(topic))

    async def create_topic(
        self, topic: str, partitions: int, *, compacting: bool | None = None, deleting: bool | None = None, **_: Any
    ) -> None:
        """Make a topic; one that is there with other partitions ends the process, 78."""
        try:
            await asyncio.to_thread(self.log.create, topic, partitions, compacted=bool(compacting and not deleting))
        except TopicDiffers as error:
            fail_stop(str(error), code=Exit.CONFIG)

    async def read(
        self, spans: Mapping[TP, range], *, refuse_unreadable: bool = True
    ) -> AsyncIterator[tuple[TP, Sequence[Record]]]:
        """The records of each span, in order, in steps: (partition, records); ends when every span is read.

        Offsets of a span that hold no record are passed over. Every record of this log can be read.
        """
        for tp, span in spans.items():
            at = span.start
            while at < span.stop and (records := self.log.read(*tp, at, READ_RECORDS)):
                at = records[-1].offset + 1
                wanted = records if at <= span.stop else [one for one in records if one.offset < span.stop]
                if wanted:
                    yield tp, wanted
                await asyncio.sleep(0)


async def _acknowledged(appended: Future[int], tp: TP, timestamp_ms: int) -> RecordMetadata:
    offset = await asyncio.wrap_future(appended)
    return RecordMetadata(tp.topic, tp.partition, tp, offset, timestamp_ms, 0)
