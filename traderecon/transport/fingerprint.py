"""Which log is it? An offset is no identity: fingerprints of records that were done, or written, say so.

    Fingerprint(offset, timestamp, checksum)     of the last records done, kept with the commit; of the last one written
    Note(log, done, written)  <->  text          a commit's metadata, at most ``NOTE_BYTES``
    differs(tp, ...)                             a sentence where the log does not have what it had

A log that was cut and filled again (an unclean election, a power cut on its one copy, a topic made anew) has other
records at offsets that were passed: to go on there would be to pass over records unread. Where retention or compaction
took the record, the topic's id says whether it is the same topic. Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

import msgspec
from faust.types import TP

from traderecon.transport.microbatch import Record

NOTE_BYTES = 3_500
"""Kafka keeps 4,096 bytes of metadata with a commit (``offset.metadata.max.bytes``)."""
ANY_TIME = -1
"""The log gave the time, and did not tell which."""


class Fingerprint(NamedTuple):
    """One record: where it lies, the log's time of it in ms, the CRC-32 of its key and value."""

    offset: int
    timestamp: int
    checksum: int

    def fits(self, other: "Fingerprint") -> bool:
        """Whether both are of one record."""
        same_time = ANY_TIME in {self.timestamp, other.timestamp} or self.timestamp == other.timestamp
        return self.offset == other.offset and self.checksum == other.checksum and same_time


class LogId(NamedTuple):
    """What tells a topic from one made anew under its name: its id, empty where there is none.

    ``epochs``: by partition, a number that rises with every new leader. Where it has not, nothing was cut.
    """

    topic_id: str = ""
    epochs: Mapping[int, int] = {}


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept with a commit: the id of its topic, the last records done in it, the last ones written elsewhere."""

    log: str = ""
    done: tuple[Fingerprint, ...] = ()
    written: dict[str, dict[int, Fingerprint]] = {}
    logs: dict[str, str] = {}
    """The ids of the topics written to."""
    changelogs: dict[str, tuple[str, Fingerprint]] = {}
    """Of each table's changelog: when it was begun, and the last record of it that was stored by then."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Note).decode


def fingerprint(record: Record) -> Fingerprint:
    """A record's."""
    return Fingerprint(record.offset, record.timestamp, checksum(record.key, record.value))


def checksum(key: bytes | None, value: bytes | None) -> int:
    """CRC-32 of both; one that is absent is no empty one.

    >>> checksum(b"T1", b"") == checksum(b"T1", None)
    False
    """
    lengths = b"%d %d " % (-1 if key is None else len(key), -1 if value is None else len(value))
    return crc32(value or b"", crc32(key or b"", crc32(lengths)))


def note_text(note: Note) -> str:
    """A commit's metadata; where it would be too long, without some of what was written."""
    text = _encode(note)
    written = {topic: dict(partitions) for topic, partitions in note.written.items()}
    while len(text) > NOTE_BYTES and written:
        longest = max(written, key=lambda topic: len(written[topic]))
        written[longest].pop(next(iter(written[longest])))
        written = {topic: partitions for topic, partitions in written.items() if partitions}
        text = _encode(msgspec.structs.replace(note, written=written))
    return text.decode()


def note_of(text: str) -> Note | None:
    """The note in a commit's metadata; None where there is none of ours."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return None


def differs(  # noqa: PLR0917  # a record as it was, and the log as it is
    tp: TP, deed: str, was: Fingerprint, low: int, high: int, now: Record | None
) -> str | None:
    """What to say where the log has another record, or none, at an offset that was ``deed`` (read, written)."""
    where = f"{tp.topic}[{tp.partition}]: the record at offset {was.offset} was {deed} here"
    if was.offset >= high:
        return f"{where}, and the log has {low} to {high}. {OTHER_LOG}"
    if was.offset < low or now is None or now.offset != was.offset:
        return None  # retention or compaction took it
    if fingerprint(now).fits(was):
        return None
    return f"{where}, and another one lies there now: the log was cut behind it and filled again to {high}. {OTHER_LOG}"


def other_topic(tp: TP, was: str, now: str) -> str | None:
    """What to say where a topic is not the one it was, by its id; None where it is, or nobody tells."""
    if not was or not now or was == now:
        return None
    where = f"{tp.topic}[{tp.partition}]"
    return f"{where} was of the topic with the id {was}, and now has {now}: it was made anew. {OTHER_LOG}"


OTHER_LOG = (
    "To go on would pass over records unread. Stop all workers, restore the topic if you can, and see "
    'docs/operations.md, "A log that was cut", for what to read or send again.'
)
