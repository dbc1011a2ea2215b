"""The storage format of records: batches, each one row with a checksum.

    Entry, ...  ->  number_entries  ->  pack: Batch(last offset, CRC-32, bytes)  ->  unpack: Record, ...

One row per record would take three times the CPU. It would also reacquire the interpreter lock for every row: beside a
busy thread 1,000 records would take seconds instead of milliseconds.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

import msgspec

from traderecon.transport.log.errors import Damaged, RecordRejected

MAX_RECORDS = 1_000
MAX_BYTES = 1_048_576
"""A batch ends at whichever limit comes first; a larger record gets its own batch."""
MAX_RECORD_BYTES = 16 * 1_048_576


class Record(NamedTuple):
    """One record as it was appended. Attributes are named as in aiokafka's ``ConsumerRecord``."""

    offset: int
    timestamp: int
    """Milliseconds since 1970, UTC, as passed to the append."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: tuple[tuple[str, bytes], ...]

    @property
    def timestamp_type(self) -> int:
        """Always the log's own time (Kafka's LogAppendTime)."""
        return 1


Entry = tuple[bytes | None, bytes | None, int, Sequence[tuple[str, bytes]]]
"""A record to append: key, value, timestamp (ms since 1970), headers."""

Row = tuple[int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""A record as stored: the fields of ``Record``."""


class Batch(NamedTuple):
    """Encoded records, in ascending order of offset."""

    last: int
    checksum: int
    content: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


def number_entries(entries: Sequence[Entry], base: int) -> list[Row]:
    """Assign offsets to the entries, starting at ``base``."""
    return [
        (offset, timestamp_ms, key, value, headers)
        for offset, (key, value, timestamp_ms, headers) in enumerate(entries, base)
    ]


def pack(rows: Sequence[Row]) -> Iterator[Batch]:
    """Encode the rows, in order, into as few batches as the limits allow.

    RecordRejected for a row that is too large, or whose field types differ from ``Record``'s: it would be unreadable.
    """
    for first in range(0, len(rows), MAX_RECORDS):
        yield from _pack(rows[first : first + MAX_RECORDS])


def _pack(rows: Sequence[Row]) -> Iterator[Batch]:
    content = _encode(rows)
    if len(content) > MAX_BYTES and len(rows) > 1:
        half = len(rows) // 2
        yield from _pack(rows[:half])
        yield from _pack(rows[half:])
        return
    if len(content) > MAX_RECORD_BYTES:
        raise RecordRejected(f"a record has {len(content)} bytes, the log accepts at most {MAX_RECORD_BYTES}")
    try:
        _decode(content)
    except msgspec.DecodeError as error:
        raise RecordRejected(
            f"a record cannot be stored, since it could not be read back ({error}); the first one of its batch has the "
            f"key {rows[0][2]!r}"
        ) from None
    yield Batch(rows[-1][0], crc32(content), content)


def unpack(where: str, checksum: int, content: bytes) -> list[Record]:
    """Decode the records of a batch. Damaged, naming ``where``, if its checksum does not match."""
    if crc32(content) != checksum:
        raise Damaged(f"{where}: checksum mismatch in a batch of {len(content)} bytes: restore a backup")
    return _decode(content)
