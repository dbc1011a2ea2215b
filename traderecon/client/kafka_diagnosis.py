"""What hinders the readers of a Kafka: open transactions, partitions without a leader, clocks that are ahead."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from aiokafka import TopicPartition

from traderecon.client.client import OpenTransaction

T = TypeVar("T")


class Diagnosis:
    """A part of ``KafkaClient``, which has the connections."""

    _admin: Any
    _committed_reader: Any
    _starting: asyncio.Lock

    async def _answered(self, call: Awaitable[T]) -> T:
        raise NotImplementedError

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        raise NotImplementedError

    async def _reading(self) -> Any:
        raise NotImplementedError

    async def _reader_of(self, isolation_level: str) -> Any:
        raise NotImplementedError

    async def open_transactions(self, topic: str) -> Sequence[OpenTransaction]:
        """The oldest transaction of each partition that is open now: high watermark and last stable offset differ."""
        led, committed, reader = await self._led(topic), await self._reading_committed(), await self._reading()
        stable = await self._answered(committed.end_offsets(led))
        high = await self._answered(reader.end_offsets(led))
        found = []
        for place in led:
            if (first := stable[place]) < high[place]:
                since_ms = await self._written_ms(place, first)
                found.append(OpenTransaction(place.partition, first, since_ms, high[place] - first))
        return found

    async def leaderless(self, topic: str) -> Sequence[int]:
        """The partitions for which the cluster names no leader."""
        (found,) = await self._answered(self._admin.describe_topics([topic]))
        return sorted(one["partition"] for one in found["partitions"] if one["leader"] < 0)

    async def has_records_since(self, topic: str, timestamp_ms: int) -> bool:
        """Whether a record has this timestamp or a later one, by the broker's index: nothing is read.

        A partition without a leader is left out.
        """
        reader = await self._reading()
        asked = dict.fromkeys(await self._led(topic), timestamp_ms)
        found = await self._answered(reader.offsets_for_times(asked))
        return any(place is not None for place in found.values())

    async def _led(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic that have a leader."""
        without = set(await self.leaderless(topic))
        return [place for place in await self._partitions(topic) if place.partition not in without]

    async def _written_ms(self, place: TopicPartition, offset: int) -> int:
        """The timestamp of the first record at or above an offset, committed or not; 0 where none comes soon."""
        reader = await self._reading()
        reader.assign([place])
        reader.seek(place, offset)
        found = await self._answered(reader.getmany(place, timeout_ms=2_000, max_records=1))
        return next((int(record.timestamp) for record in found.get(place, ())), 0)

    async def _reading_committed(self) -> Any:
        """A reader that stops at the first open transaction of a partition."""
        async with self._starting:
            if self._committed_reader is None:
                self._committed_reader = await self._reader_of("read_committed")
        return self._committed_reader
