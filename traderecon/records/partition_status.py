"""The status of a journal partition in matching: its watermark and its waiting trades; the topic ``standings``.

    PartitionStatus -> encode -> {"partition": 0, "watermark": "...", "pending": {"pnl": 1}, "oldest": [...]} -> decode

``silent`` is there only if a source is silent, or holds trades.

Source: CONTRACT.md, Topics.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from traderecon.records.leg_message import instant

_MAX = 2**63 - 1
_MAX_PENDING = 2**48
"""Most waiting trades of one partition: the sum over all partitions stays within what JSON can carry."""


class WaitingTrade(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trade without a result yet: what it waits for, and until when at most (ISO 8601 UTC).

    ``held_by``: the silent source that holds it; None within its grace. ``hint``: ORPHAN_PNL for a snapshot alone,
    which waits without an end.
    """

    trade_id: str
    waiting_for: str
    due: str | None = None
    held_by: str | None = None
    hint: str | None = None


class SilentSource(msgspec.Struct, frozen=True):
    """A source that is silent or holds trades (``records.activity``).

    ``state``: silent, given_up, catching_up, or speaking. ``since``: its last leg, ``until``: when what it holds is
    decided (ISO 8601 UTC), both None if it is not silent. ``held``: how many trades of the partition it holds,
    ``stake``: the money at stake, a decimal by currency ("" if no leg sent one).
    """

    source: str
    state: str
    since: str | None
    until: str | None
    held: Annotated[int, msgspec.Meta(ge=0, le=_MAX_PENDING)]
    stake: Mapping[str, str]


class PartitionStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """``watermark``: ISO 8601 UTC, None before the first; ``pending``: how many trades wait for what.

    ``orphans``: of how many trades, a grace after it, nothing but a pnl snapshot has arrived; ``oldest`` names some.
    """

    partition: Annotated[int, msgspec.Meta(ge=0, le=_MAX)]
    watermark: str | None
    pending: Mapping[str, Annotated[int, msgspec.Meta(ge=0, le=_MAX_PENDING)]]
    oldest: tuple[WaitingTrade, ...]
    silent: tuple[SilentSource, ...] = ()
    orphans: Annotated[int, msgspec.Meta(ge=0, le=_MAX_PENDING)] = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PartitionStatus).decode
decode_pending = msgspec.json.Decoder(dict[str, int]).decode
decode_oldest = msgspec.json.Decoder(tuple[WaitingTrade, ...]).decode


def encode_status(status: PartitionStatus) -> bytes:
    """The record's value."""
    return _encode(status)


def decode_status(value: bytes) -> PartitionStatus:
    """The status in a record. ValueError: it is not one."""
    status = _decode(value)
    if status.watermark is not None:
        instant(status.watermark)
    return status


def to_columns(status: PartitionStatus) -> tuple[str, str]:
    """``pending`` and ``oldest`` as JSON for the database."""
    return _encode(status.pending).decode(), _encode(status.oldest).decode()
