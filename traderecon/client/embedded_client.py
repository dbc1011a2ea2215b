"""The client of the embedded log: the file of a data directory, beside the worker that may be running on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from traderecon import clock
from traderecon.client.client import Copies, Created, GroupPosition, OpenTransaction, Rights
from traderecon.topics import Topic
from traderecon.transport.agreement import GroupState
from traderecon.transport.errors import NotAccepted, NoTopic
from traderecon.transport.log import LogError, NoSuchPartition, OpenLog, WorkerLock
from traderecon.transport.log.batches import MAX_RECORD_BYTES
from traderecon.transport.microbatch import Outgoing, Record

READ_RECORDS = 1_000

T = TypeVar("T")


class EmbeddedClient:
    """A client on an open log, see ``Client``."""

    def __init__(self, directory: Path, opened: OpenLog) -> None:
        self.where = f"the embedded log in {directory}"
        self._writer = opened.writer
        self._log = opened.log
        self._directory = directory

    @classmethod
    @asynccontextmanager
    async def opened(cls, directory: Path) -> AsyncIterator[Self]:
        """The log of a directory, both made if missing; NotAccepted where it cannot be opened."""
        try:
            opened = OpenLog.of(directory, worker=False)
        except LogError as error:
            raise NotAccepted(str(error)) from error
        except OSError as error:
            raise NotAccepted(
                f"{directory}: cannot be the data directory ({error.strerror}); TRADERECON_DATA_DIR names it"
            ) from error
        try:
            yield cls(directory, opened)
        finally:
            opened.release()

    @property
    def principal(self) -> str:
        """Who the log takes us for: it asks nobody."""
        return "User:ANONYMOUS"

    async def cluster_id(self) -> str:
        """The id the log was given when it was made."""
        return await _told(self._log.cluster_id)

    async def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions."""
        return {topic.name: topic.partitions for topic in await _told(self._log.topics)}

    async def copies(self) -> Copies:
        """One file, on one machine."""
        return Copies(1, dict.fromkeys(await self.topics(), 1))

    async def create(self, topic: Topic, partitions: int) -> Created:
        """Make a topic, or find it; one that is there keeps the partitions it has."""
        there = (await self.topics()).get(topic.name)
        if there is None:
            await _told(lambda: self._log.create(topic.name, partitions, compacted=topic.compacted))
        return Created(topic.name, there is None, partitions if there is None else there)

    async def rights(self, topics: Collection[str], groups: Collection[str]) -> Rights:
        """Who can open the file may do everything: nobody is asked."""
        return {}

    async def config(self, topic: str) -> Mapping[str, str]:
        """The settings, in Kafka's words; time is given by whoever appends, which is always this machine."""
        for found in await _told(self._log.topics):
            if found.name == topic:
                return {
                    "cleanup.policy": "compact" if found.compacted else "delete",
                    "max.message.bytes": str(MAX_RECORD_BYTES),
                    "message.timestamp.type": "LogAppendTime",
                }
        raise NoTopic(f"there is no topic {topic} in {self.where}: make it with `traderecon topics create`")

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
            raise _said(error) from error

    async def now_ms(self) -> int:
        """The log's time, in milliseconds since 1970, UTC."""
        return clock.now_ms() + await _told(self._log.ahead_ms)

    async def advance(self, ms: int) -> None:
        """Put the log's time ahead by so much, for every process and for good."""
        await _told(lambda: self._log.advance(self._log.ahead_ms() + ms))

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The offset of the next record of each partition."""
        return await _told(
            lambda: {number: self._log.end(topic, number) for number in range(self._log.partitions(topic))}
        )

    async def read(self, topic: str, partition: int, first: int = 0) -> AsyncIterator[Sequence[Record]]:
        """The records from an offset on, up to the end as it is now, in order, some at a time."""
        end = await _told(lambda: self._log.end(topic, partition))
        at = max(first, await _told(lambda: self._log.earliest(topic, partition)))
        while at < end:
            records = await _told(partial(self._log.read, topic, partition, at, READ_RECORDS))
            if not records:
                return
            at = records[-1].offset + 1
            yield [record for record in records if record.offset < end]

    async def position(self, group: str, topic: str, partition: int) -> GroupPosition:
        """Where a group reads on in a partition."""
        place, log = (topic, partition), self._log
        return await _told(
            lambda: GroupPosition(log.committed(group, [place]).get(place), log.earliest(*place), log.end(*place))
        )

    async def committed(self, group: str, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
        """The next offset of each topic and partition that a group has committed."""
        places = [
            (topic, number)
            for topic, count in (await self.topics()).items()
            if topic in topics
            for number in range(count)
        ]
        return await _told(lambda: self._log.committed(group, places))

    async def group(self, group: str) -> GroupState:
        """One worker at most has the log: there is nobody to agree with."""
        return GroupState("", 0)

    async def require_empty(self, group: str) -> None:
        """NotAccepted while a worker has the log."""

        def asked() -> None:
            WorkerLock(self._directory).release()

        await _told(asked)

    async def move(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Have a group read on at an offset; NotAccepted while a worker has the log."""

        def moved() -> None:
            with WorkerLock(self._directory):
                self._log.commit(group, {(topic, partition): offset})

        await _told(moved)

    async def open_transactions(self, topic: str) -> Sequence[OpenTransaction]:
        """None: here a transaction is over when its call is."""
        return ()

    async def leaderless(self, topic: str) -> Sequence[int]:
        """None: there is one process."""
        return ()

    async def has_records_since(self, topic: str, timestamp_ms: int) -> bool:
        """Whether the last record of a partition has this timestamp or a later one."""
        for number, end in (await self.ends(topic)).items():
            last = await _told(partial(self._log.read, topic, number, max(0, end - 1), 1))
            if last and last[0].timestamp >= timestamp_ms:
                return True
        return False


async def _told(call: Callable[[], T]) -> T:
    """What a call to the log gives, on a thread of its own; its refusal as a ``ClientError``."""
    try:
        return await asyncio.to_thread(call)
    except LogError as error:
        raise _said(error) from error


def _said(error: LogError) -> NotAccepted:
    if isinstance(error, NoSuchPartition):
        return NoTopic(f"{error} (`traderecon topics create` does)")
    return NotAccepted(str(error))
