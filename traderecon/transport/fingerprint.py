"""Fingerprints of records that were read or written, by which a truncated and refilled log is detected.

    Fingerprint(offset, timestamp, checksum)     of the last records processed (stored with the commit) and written
    Note(log, done, written)  <->  text          a commit's metadata, at most ``NOTE_BYTES``
    record_error(tp, ...)                        an error text if the log no longer has such a record

A log that was truncated and filled again (unclean election, power cut on its only copy, recreated topic) has other
records at offsets already passed; continuing there would skip records unread. If retention or compaction removed the
record, the topic id still shows whether it is the same topic. Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

import msgspec
from faust.types import TP

from traderecon.transport.microbatch import Record

NOTE_BYTES = 3_500
"""Kafka stores 4,096 bytes of metadata with a commit (``offset.metadata.max.bytes``)."""
ANY_TIME = -1
"""The log assigned the timestamp and did not return it."""


class Fingerprint(NamedTuple):
    """One record: its offset, its timestamp in ms, the CRC-32 of its key and value."""

    offset: int
    timestamp: int
    checksum: int

    def matches(self, other: "Fingerprint") -> bool:
        """Whether both describe the same record."""
        same_time = ANY_TIME in {self.timestamp, other.timestamp} or self.timestamp == other.timestamp
        return self.offset == other.offset and self.checksum == other.checksum and same_time


class LogId(NamedTuple):
    """Tells a topic from a recreated one: its id, or "" if the log has none.

    ``epochs``: by partition, a number that rises with every new leader. While it is unchanged, nothing was truncated.
    """

    topic_id: str = ""
    epochs: Mapping[int, int] = {}


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stored with a commit: the topic's id, the last records processed in it, the last records written elsewhere."""

    log: str = ""
    done: tuple[Fingerprint, ...] = ()
    written: dict[str, dict[int, Fingerprint]] = {}
    logs: dict[str, str] = {}
    """The ids of the topics written to."""
    changelogs: dict[str, tuple[str, Fingerprint]] = {}
    """Of each table's changelog: when it was begun, and its last record stored at the time of the commit."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Note).decode


def fingerprint(record: Record) -> Fingerprint:
    """Compute the fingerprint of a record."""
    return Fingerprint(record.offset, record.timestamp, checksum(record.key, record.value))


def checksum(key: bytes | None, value: bytes | None) -> int:
    """CRC-32 of key and value; None differs from empty bytes.

    >>> checksum(b"T1", b"") == checksum(b"T1", None)
    False
    """
    lengths = b"%d %d " % (-1 if key is None else len(key), -1 if value is None else len(value))
    return crc32(value or b"", crc32(key or b"", crc32(lengths)))


def encode_note(note: Note) -> str:
    """Encode a commit's metadata; if it is too long, some written records are left out."""
    text = _encode(note)
    written = {topic: dict(partitions) for topic, partitions in note.written.items()}
    while len(text) > NOTE_BYTES and written:
        longest = max(written, key=lambda topic: len(written[topic]))
        written[longest].pop(next(iter(written[longest])))
        written = {topic: partitions for topic, partitions in written.items() if partitions}
        text = _encode(msgspec.structs.replace(note, written=written))
    return text.decode()


def decode_note(text: str) -> Note | None:
    """Decode a commit's metadata; None if it is not a ``Note``."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return None


def record_error(  # noqa: PLR0917  # the expected record and the current log
    tp: TP, action: str, expected: Fingerprint, low: int, high: int, record: Record | None
) -> str | None:
    """Error text if the log has another record, or none, at an offset where one was ``action`` (read, written)."""
    finding = f"{tp.topic}[{tp.partition}]: the record at offset {expected.offset} was {action} here"
    if expected.offset >= high:
        return f"{finding}, and the log has {low} to {high}. {OTHER_LOG}"
    if expected.offset < low or record is None or record.offset != expected.offset:
        return None  # removed by retention or compaction
    if fingerprint(record).matches(expected):
        return None
    return f"{finding}, and now there is another one: the log was truncated and filled again to {high}. {OTHER_LOG}"


def topic_error(tp: TP, expected_id: str, topic_id: str) -> str | None:
    """Error text if a topic's id has changed; None if it has not, or one of the ids is unknown."""
    if not expected_id or not topic_id or expected_id == topic_id:
        return None
    name = f"{tp.topic}[{tp.partition}]"
    return f"{name} had the topic id {expected_id}, and now has {topic_id}: the topic was recreated. {OTHER_LOG}"


OTHER_LOG = (
    "Continuing would skip records unread. Stop all workers, restore the topic if possible, and see "
    'docs/operations.md, "A log that was cut", for what to read or send again.'
)
