"""The consumer of the embedded log: micro-batches, and a group of one.

There is one worker, so nobody takes a partition away: it is assigned everything, by Faust's own assignor, in the steps
a Kafka's coordinator would take.
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
from traderecon.transport.starts import beyond

POLL_S = 0.05
"""How soon a record is seen that another process appended; what this one appends wakes its readers."""
TIDY_S = 10.0
"""How often compaction looks for work."""


class _Counts(NamedTuple):
    """What Faust's assignor asks a Kafka cluster."""

    counts: Mapping[str, int]

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.counts.get(topic, 0)))


class _Group(Consumer):
    """The group of one worker: it is assigned everything it subscribes to, in the order a Kafka would do it."""

    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._assigned: set[TP] = set()
        self._joining = asyncio.Lock()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Have every partition of the topics; Faust waits for this call before it takes them, so they come later."""
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
        """Every partition there is, changelogs too."""
        return set(self._assigned)


class EmbeddedConsumer(BatchConsumer, _Group):
    """Micro-batches from the embedded log, read on the event loop: a step of a thousand records takes a millisecond."""

    transport: Any  # embedded.Transport, which imports this module
    transient_errors = (Busy,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._positions: dict[TP, int] = {}
        self._written = asyncio.Event()
        self._nothing_at: tuple[int, set[TP]] | None = None
        """The log's version when these partitions had nothing more to read."""

    async def on_start(self) -> None:
        """Open the log; a second worker is refused, 78."""
        self.transport.open(worker=True)
        self.transport.writer.listen(self._wake)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Let go of the log."""
        await super().on_shutdown()
        self.transport.writer.forget(self._wake)
        self.transport.close()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            self.loop.call_soon_threadsafe(self._written.set)

    # -- reading

    async def fetch(self, active: set[TP], timeout: float) -> dict[TP, Fetch]:
        """What was read of each partition that moved, within ``timeout`` seconds."""
        until = self.loop.time() + timeout
        while True:
            self._written.clear()
            if (fetched := self._read(set(active))) or (left := until - self.loop.time()) <= 0:
                return fetched
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL_S)):
                    await self._written.wait()

    def _read(self, active: set[TP]) -> dict[TP, Fetch]:
        state = (self.transport.log.version(), active)
        if state == self._nothing_at:
            return {}
        limits = (self.app.conf.broker_max_poll_records, self.app.conf.consumer_max_fetch_size)
        fetched = {}
        for tp in sorted(active & self._positions.keys()):
            begun = self._positions[tp]
            try:
                records = self.transport.log.read(*tp, begun, limits[0], max_bytes=limits[1])
            except OffsetOutOfRange:
                low, high = self.transport.log.earliest(*tp), self.transport.log.end(*tp)
                fail_stop(beyond(tp, begun, low, high), code=Exit.CONFIG)
            if records:
                self._positions[tp] = records[-1].offset + 1
                fetched[tp] = Fetch(begun, records, self._positions[tp])
        self._nothing_at = None if fetched else state
        return fetched

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[ensure_TP(partition)] = offset
        self._nothing_at = None

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Read on from other offsets."""
        for tp, offset in partitions.items():
            await self._seek(tp, offset)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Where the group left off; ``perform_seek`` is what seeks."""
        return await self.committed(self.assignment())

    async def position(self, tp: TP) -> int | None:
        """The offset of the next record to fetch."""
        return self._positions.get(tp)

    # -- what the log says

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The group's next offset of each partition that has a commit."""
        found = self.transport.log.committed(self.app.conf.id, tps)
        return {TP(*place): offset for place, offset in found.items()}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        await self.commit_noted(offsets, {})
        return True

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Commit the group's offsets, each with its note beside it."""
        done = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        noted = {(tp.topic, tp.partition): note for tp, note in notes.items()}
        await asyncio.wrap_future(self.transport.writer.commit(self.app.conf.id, done, noted))

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        """What was noted with the group's commits."""
        return {TP(*place): note for place, note in self.transport.log.notes(self.app.conf.id, tps).items()}

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        """No topic has an id, and no partition another leader: while a process has the log open, nobody cuts it."""
        counts = await self.partition_counts(topics)
        return {topic: LogId("", dict.fromkeys(range(count), 0)) for topic, count in counts.items()}

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; a topic that does not exist is absent."""
        asked = set(topics)
        return {topic.name: topic.partitions for topic in self.transport.log.topics() if topic.name in asked}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The first offset of each partition that is still there."""
        return {tp: self.transport.log.earliest(*tp) for tp in partitions}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The next offset each partition will give."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """The same: this log has no transactions that stay open."""
        return await self.highwaters(*partitions)

    def highwater(self, tp: TP) -> int:
        """The next offset the partition will give."""
        return int(self.transport.log.end(*tp))

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has."""
        return int(self.transport.log.partitions(topic))

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """The partition a key belongs to, unless one is given."""
        return int(self.transport.partition(topic, key)) if partition is None else partition

    async def create_topic(self, topic: str, partitions: int, replication: int, **kwargs: Any) -> None:
        """Make a topic; see the producer."""
        await self.transport.create_topic(topic, partitions, **kwargs)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Any) -> Any:
        raise NotImplementedError("records are delivered in batches")

    @Service.task
    async def _tidy(self) -> None:
        """Compact the changelogs, a bounded step at a time, beside everything else."""
        while not self.should_stop:
            await self.sleep(TIDY_S)
            for tp in filter(self._is_changelog_tp, self.assignment()):
                with suppress(Busy):
                    while await asyncio.to_thread(self.transport.log.compact, tp.topic, tp.partition):
                        pass
