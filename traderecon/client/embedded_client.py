"""The client of the embedded log in a data directory; a worker may be running on it at the same time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from traderecon import clock
from traderecon.client.client import GroupPosition, OpenTransaction, ReplicaCounts, Rights, TopicCreation
from traderecon.topics import Topic
from traderecon.transport.agreement import GroupState
from traderecon.transport.errors import NotAccepted, NoTopic
from traderecon.transport.log import LogError, NoSuchPartition, OpenLog, WorkerLock
from traderecon.transport.log.batches import MAX_RECORD_BYTES
from traderecon.transport.microbatch import Outgoing, Record

READ_RECORDS = 1_000

T = TypeVar("T")


class EmbeddedClient:
    """A client of an open log, see ``Client``."""

    def __init__(self, directory: Path, opened: OpenLog) -> None:
        self.where = f"the embedded log in {directory}"
        self._writer = opened.writer
        self._log = opened.log
        self._directory = directory

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path) -> AsyncIterator[Self]:
        """Open the log of a directory; both are created if missing. NotAccepted if it cannot be opened."""
        try:
            opened = OpenLog.of(directory, worker=False)
        except LogError as error:
            raise NotAccepted(str(error)) from error
        except OSError as error:
            raise NotAccepted(
                f"{directory} cannot be used as the data directory ({error.strerror}): check TRADERECON_DATA_DIR"
            ) from error
        try:
            yield cls(directory, opened)
        finally:
            opened.release()

    @property
    def principal(self) -> str:
        """Anonymous: the embedded log has no authentication."""
        return "User:ANONYMOUS"

    async def cluster_id(self) -> str:
        """The unique id of the log."""
        return await _call(self._log.cluster_id)

    async def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions."""
        return {topic.name: topic.partitions for topic in await _call(self._log.topics)}

    async def replica_counts(self) -> ReplicaCounts:
        """One file, on one machine."""
        return ReplicaCounts(1, dict.fromkeys(await self.topics(), 1))

    async def create(self, topic: Topic, partitions: int) -> TopicCreation:
        """Create a topic unless it exists; an existing one keeps its partitions."""
        existing = (await self.topics()).get(topic.name)
        if existing is None:
            await _call(lambda: self._log.create(topic.name, partitions, compacted=topic.compacted))
        return TopicCreation(topic.name, existing is None, partitions if existing is None else existing)

    async def rights(self, topics: Collection[str], groups: Collection[str]) -> Rights:
        """Empty: rights are those on the file."""
        return {}

    async def config(self, topic: str) -> Mapping[str, str]:
        """The topic's settings by Kafka's names. Timestamps come from this machine's clock, at the append."""
        for existing in await _call(self._log.topics):
            if existing.name == topic:
                return {
                    "cleanup.policy": "compact" if existing.compacted else "delete",
                    "max.message.bytes": str(MAX_RECORD_BYTES),
                    "message.timestamp.type": "LogAppendTime",
                }
        raise NoTopic(f"there is no topic {topic} in {self.where}: create it with `traderecon topics create`")

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> None:
        """Write rows to a partition, in order, and wait until they are synced."""
        if not rows:
            return
        now_ms = await self.now_ms()
        entries = [
            (key, value, now_ms if timestamp_ms is None else timestamp_ms, headers)
            for key, value, timestamp_ms, headers in rows
        ]
        try:
            await asyncio.wrap_future(self._writer.append(topic, partition, entries))
        except LogError as error:
            raise _client_error(error) from error

    async def now_ms(self) -> int:
        """The log's time, in milliseconds since 1970, UTC."""
        return clock.now_ms() + await _call(self._log.ahead_ms)

    async def advance(self, ms: int) -> None:
        """Put the log's time ahead by ``ms``, permanently and for every process."""
        await _call(lambda: self._log.advance(self._log.ahead_ms() + ms))

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The offset of the next record of each partition."""
        return await _call(
            lambda: {number: self._log.end(topic, number) for number in range(self._log.partitions(topic))}
        )

    async def read(self, topic: str, partition: int, first: int = 0) -> AsyncIterator[Sequence[Record]]:
        """Read records from an offset to the current end, in order, in steps."""
        end = await _call(lambda: self._log.end(topic, partition))
        offset = max(first, await _call(lambda: self._log.earliest(topic, partition)))
        while offset < end:
            records = await _call(partial(self._log.read, topic, partition, offset, READ_RECORDS))
            if not records:
                return
            offset = records[-1].offset + 1
            yield [record for record in records if record.offset < end]

    async def position(self, group: str, topic: str, partition: int) -> GroupPosition:
        """A group's position in a partition."""
        tp, log = (topic, partition), self._log
        return await _call(lambda: GroupPosition(log.committed(group, [tp]).get(tp), log.earliest(*tp), log.end(*tp)))

    async def committed(self, group: str, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
        """The next offset of each topic and partition that a group has committed."""
        tps = [
            (topic, number)
            for topic, count in (await self.topics()).items()
            if topic in topics
            for number in range(count)
        ]
        return await _call(lambda: self._log.committed(group, tps))

    async def group(self, group: str) -> GroupState:
        """Empty: an embedded log has at most one worker and no group protocol."""
        return GroupState("", 0)

    async def require_empty(self, group: str) -> None:
        """NotAccepted while a worker is running on the log."""

        def check_lock() -> None:
            WorkerLock(self._directory).release()

        await _call(check_lock)

    async def move(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Set a group's committed offset; NotAccepted while a worker is running on the log."""

        def commit() -> None:
            with WorkerLock(self._directory):
                self._log.commit(group, {(topic, partition): offset})

        await _call(commit)

    async def open_transactions(self, topic: str) -> Sequence[OpenTransaction]:
        """Always empty: transactions of the embedded log end with their call."""
        return ()

    async def leaderless(self, topic: str) -> Sequence[int]:
        """Always empty: the embedded log has no leaders."""
        return ()

    async def has_records_since(self, topic: str, timestamp_ms: int) -> bool:
        """Whether the last record of a partition has this timestamp or a later one."""
        for number, end in (await self.ends(topic)).items():
            last = await _call(partial(self._log.read, topic, number, max(0, end - 1), 1))
            if last and last[0].timestamp >= timestamp_ms:
                return True
        return False


async def _call(call: Callable[[], T]) -> T:
    """Run a call to the log in another thread; a ``LogError`` is raised as a ``ClientError``."""
    try:
        return await asyncio.to_thread(call)
    except LogError as error:
        raise _client_error(error) from error


def _client_error(error: LogError) -> NotAccepted:
    if isinstance(error, NoSuchPartition):
        return NoTopic(f"{error} (with `traderecon topics create`)")
    return NotAccepted(str(error))
