"""Fetched records: aiokafka's, handed over as they were read, whatever their headers are called.

A header's name is any bytes to Kafka and text to aiokafka, whose fetch would end at one that is no UTF-8, time and
again: such a batch is read once more, in Python, and the bytes in the name become backslashes.

Of each record aiokafka makes another one, with its topic, partition and sizes: two thirds of the time that a fetch
takes to read (1.6 us a record, 0.6 without). Ours are of one partition, and nobody asks for the sizes.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record._crecords import MemoryRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy

_LENGTH_AT, _BEHIND_LENGTH = 8, 12
"""Where a batch says how many bytes follow. Source: Kafka's protocol, Record Batch."""


def take_over() -> None:
    """Have every consumer of this process read so."""
    fetcher.MemoryRecords = Batches
    fetcher.PartitionRecords = Records


class Records(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one partition in one fetch."""

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any:
        return record


class Batches:
    """The batches of one fetch, as aiokafka walks them."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched, self._at = fetched, 0
        self._batches = MemoryRecords(fetched)
        self.has_next = self._batches.has_next
        self.size_in_bytes = self._batches.size_in_bytes

    def next_batch(self) -> "_Batch":
        """The next one."""
        begun = self._at
        (length,) = unpack_from(">i", self._fetched, begun + _LENGTH_AT)
        self._at = begun + _BEHIND_LENGTH + length
        return _Batch(self._batches.next_batch(), self._fetched[begun : self._at])


class _Batch:
    """One batch, and its bytes."""

    def __init__(self, batch: Any, content: bytes) -> None:
        self._batch, self._content = batch, content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter([*self._batch])
        except UnicodeDecodeError:
            batch = _DefaultRecordBatchPy(self._content)
            batch._maybe_uncompress()
            batch._buffer = _AnyText(batch._buffer)
            return iter([*batch])


class _AnyText(bytearray):
    """Bytes of which every part is text."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _AnyText(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # never strict
        return super().decode(encoding, "backslashreplace")
