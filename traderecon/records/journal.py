"""The journal's records: a fact under its trade's key, or the progress of time in source partitions.

    key trade_id   {"leg": {...}, "origin": {...}, "extra": {...}}
    no key         {"at_ns": ..., "reached": {"executions": [0, 1]}, "partitions": {"executions": 4}, "spoken": {...}}

Source: docs/ARCHITECTURE.md, the journal.
"""

from collections.abc import Mapping

import msgspec

from traderecon.records.facts import Fact, Origin
from traderecon.records.formats import FORMAT, decode_checked
from traderecon.records.legs import Leg, leg_format


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every record these source partitions received up to log time ``at_ns`` is in the journal before this one.

    ``reached`` has the partitions by topic, ``partitions`` how many each topic has: the slowest one sets the watermark.
    ``epoch``: how often the watermark was reset; the first progress of an epoch has an empty ``reached``.
    ``spoken``: the log time of the newest leg of each source that has sent one since the last progress, by its name
    (``records.activity``). Such a leg is in the journal before this record.
    """

    at_ns: int
    reached: dict[str, list[int]]
    partitions: dict[str, int]
    epoch: int = 0
    format: int = FORMAT
    spoken: Mapping[str, int] = {}


class _FactRecord(msgspec.Struct, frozen=True, gc=False):
    leg: Leg
    origin: Origin
    extra: dict[str, msgspec.Raw] | None = None
    format: int = FORMAT


class _NewerRecord(msgspec.Struct, frozen=True, gc=False):
    """A fact that is not of the first format."""

    leg: Leg
    origin: Origin
    extra: Mapping[str, str | msgspec.Raw] | None
    format: int


_encode = msgspec.json.Encoder().encode
_decode_fact = msgspec.json.Decoder(_FactRecord).decode
_decode_progress = msgspec.json.Decoder(Progress).decode


def encode_journal(record: Fact | Progress) -> bytes:
    """The record's value."""
    if isinstance(record, Fact) and (number := leg_format(record.leg)) != FORMAT:
        return _encode(_NewerRecord(record.leg, record.origin, record.extra, number))
    return _encode(record)


def decode_fact(value: bytes) -> Fact:
    """The fact in a record with a key. OtherFormat: a newer version wrote it."""
    record = decode_checked(_decode_fact, value)
    return Fact(record.leg, record.origin, record.extra)


def decode_progress(value: bytes) -> Progress:
    """The progress in a record without a key. OtherFormat: a newer version wrote it."""
    return decode_checked(_decode_progress, value)
