"""Micro-batches: the records an agent receives in one event, and the rows it sends.

    Record, Record, ...  of one partition, in offset order  ->  MicroBatch  ->  one event of a Faust stream

A micro-batch is never empty and never spans two partitions. Values stay bytes: the agent decodes them, so that an
undecodable record becomes a dead letter and not a gap (docs/transport.md, F1).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

LOG_APPEND_TIME = 1
"""The type of a timestamp assigned by the log; any other is the producer's (Kafka's record format)."""
BATCH_BYTES = 900_000
"""Maximum size of a batch on the wire, below the default ``max.message.bytes`` of 1,048,588."""


class Record(Protocol):
    """One record of a log, as every driver returns it."""

    @property
    def offset(self) -> int:
        """Position in the partition, from 0."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970, UTC, as stored in the log."""
        ...

    @property
    def timestamp_type(self) -> int | None:
        """``LOG_APPEND_TIME`` if the log assigned the timestamp, anything else if the producer did."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key's bytes, if it has one."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value's bytes; None for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Name and value of each header, in order."""
        ...


class Outgoing(NamedTuple):
    """One record to append. Without a timestamp the log assigns one."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class MicroBatch:
    """The records of one partition carried by one stream event: at least one, in offset order.

    ``span`` covers them and adjacent offsets without a record, so that the spans of one assignment are contiguous.
    Default: from the first record to the last.
    """

    __slots__ = ("partition", "records", "span", "topic")

    def __init__(self, topic: str, partition: int, records: Sequence[Record], span: range | None = None) -> None:
        self.topic = topic
        self.partition = partition
        self.records = records
        self.span = range(records[0].offset, records[-1].offset + 1) if span is None else span

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return self.records[-1].offset

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"{self.topic}[{self.partition}] {self.records[0].offset}..{self.last_offset}"


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key in a topic of this application: CRC-32, the same on every log, and fast (in C)."""
    return crc32(key) % partitions
