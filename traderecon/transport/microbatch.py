"""What an agent receives, and what it sends: many records at a time.

    Record, Record, ...  of one partition, in offset order  ->  MicroBatch  ->  one event of a Faust stream

A micro-batch is never of two partitions, and never empty. Values stay bytes: decoding is the agent's business,
so that a record that cannot be decoded is a dead letter and not a gap (F1).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

LOG_APPEND_TIME = 1
"""The type of a timestamp that the log gave; any other type was given by the producer (Kafka's record format)."""
BATCH_BYTES = 900_000
"""A batch on the wire stays below a topic's default ``max.message.bytes`` of 1,048,588."""


class Record(Protocol):
    """One record of a log, as every driver hands it over."""

    @property
    def offset(self) -> int:
        """Its place in the partition, counted from 0."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970, UTC, as the log keeps it."""
        ...

    @property
    def timestamp_type(self) -> int | None:
        """Who gave the timestamp: ``LOG_APPEND_TIME``, or anything else for the producer."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key's bytes, if it has one."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value's bytes; None is a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Name and value of every header, in order."""
        ...


class Outgoing(NamedTuple):
    """One record to append. Without a timestamp the log gives it one."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class MicroBatch:
    """The records of one partition that one event of a stream carries: at least one, in offset order.

    ``span`` has them all, and every offset beside them at which the log holds no record: of one assignment the spans of
    all batches follow one another. Without one it goes from the first record to the last.
    """

    __slots__ = ("partition", "records", "span", "topic")

    def __init__(self, topic: str, partition: int, records: Sequence[Record], span: range | None = None) -> None:
        self.topic = topic
        self.partition = partition
        self.records = records
        self.span = range(records[0].offset, records[-1].offset + 1) if span is None else span

    @property
    def last_offset(self) -> int:
        """The offset of its last record."""
        return self.records[-1].offset

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"{self.topic}[{self.partition}] {self.records[0].offset}..{self.last_offset}"


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key in a topic of ours: CRC-32, the same on every log, and in C speed."""
    return crc32(key) % partitions
