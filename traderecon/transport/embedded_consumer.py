"""The consumer of the embedded log: micro-batches for a group of one worker.

The worker is assigned every partition and never loses one. The assignment uses Faust's own assignor and the steps of
a Kafka coordinator.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from faust.transport.consumer import Consumer, ensure_TP
from faust.types import TP
from mode import Service

from traderecon.exit_codes import Exit
from traderecon.transport.consumer import BatchConsumer
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.fingerprint import LogId
from traderecon.transport.log import Busy, OffsetOutOfRange
from traderecon.transport.progress import Fetch
from traderecon.transport.starts import out_of_range

POLL_S = 0.05
"""Interval between checks for records appended by other processes; appends of this process wake readers at once."""
TIDY_S = 10.0
"""Interval between compaction runs."""


class _Counts(NamedTuple):
    """The part of Kafka's cluster metadata that Faust's assignor uses."""

    counts: Mapping[str, int]

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.counts.get(topic, 0)))


class _Group(Consumer):
    """The group of one worker: assigns everything it subscribes to, with the callbacks in Kafka's order."""

    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._assigned: set[TP] = set()
        self._joining = asyncio.Lock()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Assign every partition of the topics, in the background: Faust expects the assignment after this call."""
        self.add_future(self._join(set(topics)))

    async def _join(self, topics: set[str]) -> None:
        async with self._joining:
            counts = {topic: self.topic_partitions(topic) or 0 for topic in topics}
            app, assignor, member = self.app, self.app.assignor, self.app.conf.id
            app.on_rebalance_start()
            await self.on_partitions_revoked(self.assignment())
            assignment = assignor.assign(_Counts(counts), {member: assignor.metadata(topics)})[member]
            assignor.on_assignment(assignment)
            self._assigned = {
                TP(topic, partition) for topic, partitions in assignment.assignment for partition in partitions
            }
            app.consumer_generation_id += 1
            await self.on_partitions_assigned(self.assignment(), app.consumer_generation_id)

    def assignment(self) -> set[TP]:
        """Every partition of the subscribed topics, changelogs included."""
        return set(self._assigned)


class EmbeddedConsumer(BatchConsumer, _Group):
    """Micro-batches from the embedded log, read on the event loop: a thousand records take a millisecond."""

    transport: Any  # embedded.Transport, which imports this module
    transient_errors = (Busy,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._positions: dict[TP, int] = {}
        self._appended = asyncio.Event()
        self._exhausted: tuple[int, set[TP]] | None = None
        """The log's version at which these partitions had nothing more to read."""

    async def on_start(self) -> None:
        """Open the log; a second worker ends with 78."""
        self.transport.open(worker=True)
        self.transport.writer.listen(self._wake)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Release the log."""
        await super().on_shutdown()
        self.transport.writer.forget(self._wake)
        self.transport.close()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._appended.set)

    # -- reading

    async def fetch(self, active: set[TP], timeout: float) -> dict[TP, Fetch]:
        """Read the active partitions, waiting for at most ``timeout`` seconds; those without new records are absent."""
        until = self.loop.time() + timeout
        while True:
            self._appended.clear()
            if (fetched := self._read(set(active))) or (left := until - self.loop.time()) <= 0:
                return fetched
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL_S)):
                    await self._appended.wait()

    def _read(self, active: set[TP]) -> dict[TP, Fetch]:
        state = (self.transport.log.version(), active)
        if state == self._exhausted:
            return {}
        max_records, max_bytes = self.app.conf.broker_max_poll_records, self.app.conf.consumer_max_fetch_size
        fetched = {}
        for tp in sorted(active & self._positions.keys()):
            position = self._positions[tp]
            try:
                records = self.transport.log.read(*tp, position, max_records, max_bytes=max_bytes)
            except OffsetOutOfRange:
                low, high = self.transport.log.earliest(*tp), self.transport.log.end(*tp)
                fail_stop(out_of_range(tp, position, low, high), code=Exit.CONFIG)
            if records:
                self._positions[tp] = records[-1].offset + 1
                fetched[tp] = Fetch(position, records, self._positions[tp])
        self._exhausted = None if fetched else state
        return fetched

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[ensure_TP(partition)] = offset
        self._exhausted = None

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Continue reading at these offsets."""
        for tp, offset in partitions.items():
            await self._seek(tp, offset)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Return the committed offsets without seeking; ``perform_seek`` seeks."""
        return await self.committed(self.assignment())

    async def position(self, tp: TP) -> int | None:
        """The offset of the next record to fetch."""
        return self._positions.get(tp)

    # -- offsets and metadata

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The group's committed offset of each partition that has one."""
        offsets = self.transport.log.committed(self.app.conf.id, tps)
        return {TP(*tp): offset for tp, offset in offsets.items()}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self.commit_noted(offsets, {})
        return True

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Commit the group's next offsets, each with a note."""
        plain_offsets = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        plain_notes = {(tp.topic, tp.partition): note for tp, note in notes.items()}
        await asyncio.wrap_future(self.transport.writer.commit(self.app.conf.id, plain_offsets, plain_notes))

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        """The notes of the group's commits."""
        return {TP(*tp): note for tp, note in self.transport.log.notes(self.app.conf.id, tps).items()}

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        """Empty topic ids and constant epochs: an open embedded log is never truncated."""
        counts = await self.partition_counts(topics)
        return {topic: LogId("", dict.fromkeys(range(count), 0)) for topic, count in counts.items()}

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; a topic that does not exist is absent."""
        names = set(topics)
        return {topic.name: topic.partitions for topic in self.transport.log.topics() if topic.name in names}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The first offset each partition still has."""
        return {tp: self.transport.log.earliest(*tp) for tp in partitions}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The next offset of each partition."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """The high watermarks: this log has no transactions that stay open."""
        return await self.highwaters(*partitions)

    def highwater(self, tp: TP) -> int:
        """The next offset of the partition."""
        return int(self.transport.log.end(*tp))

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        return int(self.transport.log.partitions(topic))

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """The given partition, or the one a key belongs to."""
        return int(self.transport.partition(topic, key)) if partition is None else partition

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Create a topic, as ``Transport.create_topic``."""
        await self.transport.create_topic(topic, partitions, **kwargs)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Any) -> Any:
        raise NotImplementedError("records are delivered in batches")

    @Service.task
    async def _tidy(self) -> None:
        """Compact the changelogs in the background, in bounded steps."""
        while not self.should_stop:
            await self.sleep(TIDY_S)
            for tp in filter(self._is_changelog_tp, self.assignment()):
                with suppress(Busy):
                    while await asyncio.to_thread(self.transport.log.compact, tp.topic, tp.partition):
                        pass
