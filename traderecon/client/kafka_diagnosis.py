"""Diagnosis of what blocks readers of Kafka: open transactions, leaderless partitions, timestamps in the future."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from aiokafka import TopicPartition

from traderecon.client.client import OpenTransaction

T = TypeVar("T")


class Diagnosis:
    """Mixin of ``KafkaClient``, which has the connections."""

    _admin: Any
    _committed_reader: Any
    _starting: asyncio.Lock

    async def _await_answer(self, call: Awaitable[T]) -> T:
        raise NotImplementedError

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        raise NotImplementedError

    async def _open_reader(self) -> Any:
        raise NotImplementedError

    async def _start_reader(self, isolation_level: str) -> Any:
        raise NotImplementedError

    async def open_transactions(self, topic: str) -> Sequence[OpenTransaction]:
        """The oldest open transaction of each partition whose last stable offset is below its high watermark."""
        tps = await self._partitions_with_leader(topic)
        committed, reader = await self._open_committed_reader(), await self._open_reader()
        stable = await self._await_answer(committed.end_offsets(tps))
        high = await self._await_answer(reader.end_offsets(tps))
        transactions = []
        for tp in tps:
            if (first := stable[tp]) < high[tp]:
                since_ms = await self._timestamp_ms(tp, first)
                transactions.append(OpenTransaction(tp.partition, first, since_ms, high[tp] - first))
        return transactions

    async def leaderless(self, topic: str) -> Sequence[int]:
        """The partitions without a leader in the cluster's metadata."""
        (description,) = await self._await_answer(self._admin.describe_topics([topic]))
        return sorted(partition["partition"] for partition in description["partitions"] if partition["leader"] < 0)

    async def has_records_since(self, topic: str, timestamp_ms: int) -> bool:
        """Whether a record has this timestamp or a later one, by the broker's index, without reading records.

        Partitions without a leader are skipped.
        """
        reader = await self._open_reader()
        timestamps = dict.fromkeys(await self._partitions_with_leader(topic), timestamp_ms)
        offsets = await self._await_answer(reader.offsets_for_times(timestamps))
        return any(offset is not None for offset in offsets.values())

    async def _partitions_with_leader(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic that have a leader."""
        leaderless = set(await self.leaderless(topic))
        return [tp for tp in await self._partitions(topic) if tp.partition not in leaderless]

    async def _timestamp_ms(self, tp: TopicPartition, offset: int) -> int:
        """The timestamp of the first record at or above an offset, committed or not; 0 if none arrives in time."""
        reader = await self._open_reader()
        reader.assign([tp])
        reader.seek(tp, offset)
        records = await self._await_answer(reader.getmany(tp, timeout_ms=2_000, max_records=1))
        return next((int(record.timestamp) for record in records.get(tp, ())), 0)

    async def _open_committed_reader(self) -> Any:
        """A read-committed reader, whose end is the first open transaction of a partition."""
        async with self._starting:
            if self._committed_reader is None:
                self._committed_reader = await self._start_reader("read_committed")
        return self._committed_reader
