"""Decisions about what the database keeps, as they lie on ``actions``: legal holds, their release, and purges.

A hold keeps a trade, or every trade of a ticker, from being purged until it is released. The database enters holds from
the topic, so one that is rebuilt has them again.
"""

from typing import Literal

import msgspec


class Hold(msgspec.Struct, frozen=True):
    """What is held: a trade or a ticker, exactly one of them; who decided, when (ISO 8601 UTC) and why."""

    hold_id: str
    by: str
    at: str
    reason: str
    trade_id: str | None = None
    ticker: str | None = None
    about: Literal["hold"] = "hold"
    format: Literal[1] = 1


class Release(msgspec.Struct, frozen=True):
    """The end of a hold."""

    hold_id: str
    by: str
    at: str
    reason: str
    about: Literal["release"] = "release"
    format: Literal[1] = 1


class Purge(msgspec.Struct, frozen=True):
    """Written before anything goes: trades whose last result is older than ``before`` (ISO 8601 UTC), and how many."""

    purge_id: str
    before: str
    trades: int
    results: int
    by: str
    at: str
    reason: str
    about: Literal["purge"] = "purge"
    format: Literal[1] = 1


KEY = b"retention"
"""What their records are sent under: all of them are in one order."""

_encode = msgspec.json.Encoder().encode
_hold = msgspec.json.Decoder(Hold).decode
_release = msgspec.json.Decoder(Release).decode


def retention_json(decision: Hold | Release | Purge) -> bytes:
    """A record's value."""
    return _encode(decision)


def hold_of(value: bytes) -> Hold:
    """A record's hold. msgspec.MsgspecError: it is none, or names not exactly one of trade and ticker."""
    hold = _hold(value)
    if (hold.trade_id is None) == (hold.ticker is None):
        raise msgspec.ValidationError("a hold names a trade or a ticker")
    return hold


def release_of(value: bytes) -> Release:
    """A record's release. msgspec.MsgspecError: it is none."""
    return _release(value)
