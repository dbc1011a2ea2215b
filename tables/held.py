"""Held trades: those whose grace is over and whose source is silent.

    H source name NUL trade_id  ->  JSON of ``Held``

A held trade also has a deadline at its latest time, so none is held for ever, and one is decided even if a late write
of a suspended worker removes this row.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from .batch_table import TableBatch

PREFIX = b"H"


class Held(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """``latest_ns``: when the trade is decided whatever its source does. ``stake``: a decimal, its ``currency``."""

    latest_ns: int
    waiting_for: str
    stake: str | None = None
    currency: str | None = None


class HeldTrade(NamedTuple):
    """A held trade, and the source that holds it."""

    held_by: str
    trade_id: bytes
    held: Held


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Held).decode


def put(write_batch: TableBatch, trade: HeldTrade) -> None:
    """Hold a trade."""
    write_batch.put(_key(trade.held_by, trade.trade_id), _encode(trade.held))


def forget(write_batch: TableBatch, held_by: str, trade_id: bytes) -> None:
    """Hold a trade no longer."""
    write_batch.delete(_key(held_by, trade_id))


def find(write_batch: TableBatch, sources: Iterable[str], trade_id: bytes) -> HeldTrade | None:
    """The held trade, if one of these sources holds it."""
    for held_by in sources:
        if (value := write_batch.get(_key(held_by, trade_id))) is not None:
            return HeldTrade(held_by, trade_id, _decode(value))
    return None


def any_held(write_batch: TableBatch) -> bool:
    """Whether any trade is held."""
    return next(write_batch.scan(PREFIX), None) is not None


def holding(write_batch: TableBatch, sources: Iterable[str]) -> tuple[str, ...]:
    """Those of these sources that hold a trade, sorted."""
    return tuple(sorted([name for name in sources if next(write_batch.scan(_key(name, b"")), None) is not None]))


def held_by(write_batch: TableBatch, source: str, at_most: int, after: HeldTrade | None = None) -> list[HeldTrade]:
    """The first ``at_most`` trades that a source holds and that follow ``after`` (see ``closed.due``)."""
    start = b"" if after is None else _key(source, after.trade_id) + b"\x00"
    return list(islice(map(_trade, write_batch.scan(_key(source, b""), start=start)), at_most))


def all_held(write_batch: TableBatch) -> Iterator[HeldTrade]:
    """Every held trade: the stored ones, then this batch's."""
    return map(_trade, write_batch.scan(PREFIX))


def _key(source: str, trade_id: bytes) -> bytes:
    return PREFIX + source.encode() + b"\x00" + trade_id


def _trade(row: tuple[bytes, bytes]) -> HeldTrade:
    key, value = row
    source, _, trade_id = key[len(PREFIX) :].partition(b"\x00")
    return HeldTrade(source.decode(), trade_id, _decode(value))
