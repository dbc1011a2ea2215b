"""How records lie in the file: in batches, each one row with a checksum.

    Entry, Entry, ...  ->  numbered  ->  packed: Batch(last offset, CRC-32, bytes)  ->  unpacked: Record, Record, ...

A row per record would cost three times the CPU, and a thread that writes row by row beside a busy one asks for the
interpreter at every row: 1,000 records then take seconds instead of milliseconds.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

import msgspec

from traderecon.transport.log.errors import Damaged, RecordRejected

MAX_RECORDS = 1_000
MAX_BYTES = 1_048_576
"""A batch is cut at whichever comes first; a record larger than this is a batch of its own."""
MAX_RECORD_BYTES = 16 * 1_048_576


class Record(NamedTuple):
    """One record as it was appended. The attributes are called as in aiokafka's ``ConsumerRecord``."""

    offset: int
    timestamp: int
    """Milliseconds since 1970, UTC, as given by whoever appended it."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: tuple[tuple[str, bytes], ...]

    @property
    def timestamp_type(self) -> int:
        """It is the log's own time (Kafka's LogAppendTime), as in every topic of ours."""
        return 1


Entry = tuple[bytes | None, bytes | None, int, Sequence[tuple[str, bytes]]]
"""A record to append: key, value, timestamp (ms since 1970), headers."""

Row = tuple[int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""A record as it is packed: the fields of ``Record``."""


class Batch(NamedTuple):
    """Records with rising offsets, packed."""

    last: int
    checksum: int
    content: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


def numbered(entries: Sequence[Entry], base: int) -> list[Row]:
    """The entries with offsets from ``base`` on."""
    return [
        (offset, timestamp_ms, key, value, headers)
        for offset, (key, value, timestamp_ms, headers) in enumerate(entries, base)
    ]


def packed(rows: Sequence[Row]) -> Iterator[Batch]:
    """The rows, in order, in as few batches as their bounds allow.

    RecordRefused for one that is too large, or whose fields are not what ``Record`` says: it could not be read again.
    """
    for first in range(0, len(rows), MAX_RECORDS):
        yield from _packed(rows[first : first + MAX_RECORDS])


def _packed(rows: Sequence[Row]) -> Iterator[Batch]:
    content = _encode(rows)
    if len(content) > MAX_BYTES and len(rows) > 1:
        half = len(rows) // 2
        yield from _packed(rows[:half])
        yield from _packed(rows[half:])
        return
    if len(content) > MAX_RECORD_BYTES:
        raise RecordRejected(f"a record takes {len(content)} bytes, the log takes {MAX_RECORD_BYTES} at most")
    try:
        _decode(content)
    except msgspec.DecodeError as error:
        raise RecordRejected(
            f"a record could not be read again ({error}): the first has the key {rows[0][2]!r}"
        ) from None
    yield Batch(rows[-1][0], crc32(content), content)


def unpacked(where: str, checksum: int, content: bytes) -> list[Record]:
    """The records of a batch; Damaged, with ``where``, when they are not the bytes that were packed."""
    if crc32(content) != checksum:
        raise Damaged(f"{where}: a batch of {len(content)} bytes does not have its checksum: restore a backup")
    return _decode(content)
