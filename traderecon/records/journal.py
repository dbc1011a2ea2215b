"""The journal's records: a fact under its trade's key, or how far time has got in one source partition.

    key trade_id   {"leg": {...}, "origin": {...}, "extra": {...}}
    no key         {"at_ns": ..., "reached": {"executions": [0, 1]}, "partitions": {"executions": 4}}

Source: DESIGN of the journal in docs/ARCHITECTURE.md.
"""

from collections.abc import Mapping

import msgspec

from traderecon.records.facts import Fact, Origin
from traderecon.records.formats import BARE_CANCELS, FORMAT, checked
from traderecon.records.legs import Leg, is_bare


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every record these source partitions got up to ``at_ns``, the log's time, stands in the journal before this one.

    ``reached`` has partitions by topic, ``partitions`` how many a topic has: time has got as far as the last of them.
    ``epoch``: how often a person has reset the watermark; the first of a new one has ``reached`` nothing.
    """

    at_ns: int
    reached: dict[str, list[int]]
    partitions: dict[str, int]
    epoch: int = 0
    format: int = FORMAT


class _Journalled(msgspec.Struct, frozen=True, gc=False):
    leg: Leg
    origin: Origin
    extra: dict[str, msgspec.Raw] | None = None
    format: int = FORMAT


class _Bare(msgspec.Struct, frozen=True, gc=False):
    leg: Leg
    origin: Origin
    extra: Mapping[str, str | msgspec.Raw] | None
    format: int


_encode = msgspec.json.Encoder().encode
_decode_fact = msgspec.json.Decoder(_Journalled).decode
_decode_progress = msgspec.json.Decoder(Progress).decode


def encode_journal(said: Fact | Progress) -> bytes:
    """A record's value."""
    if isinstance(said, Fact) and is_bare(said.leg):
        return _encode(_Bare(said.leg, said.origin, said.extra, BARE_CANCELS))
    return _encode(said)


def decode_fact(value: bytes) -> Fact:
    """The fact in a record that has a key; OtherFormat where a newer version wrote it."""
    read = checked(_decode_fact, value)
    return Fact(read.leg, read.origin, read.extra)


def decode_progress(value: bytes) -> Progress:
    """The progress in a record that has none; OtherFormat where a newer version wrote it."""
    return checked(_decode_progress, value)
