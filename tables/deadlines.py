"""The deadlines: which trades wait, until when, and for what; swept as the watermark moves.

    d due (8 bytes, nanoseconds) trade_id  ->  what it waits for

    k  ->  the rules' sha256 under which they were made; while they are made anew a space, and the last key looked at

A row only says "look at this trade then": what the trade comes to, its facts say. A row too many costs a look.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from .batch_table import TableBatch

PREFIX = b"d"
KEYED = b"k"
_DUE = slice(1, 9)


class Waiting(NamedTuple):
    """A trade that waits, until ``due_ns`` of the log's time."""

    due_ns: int
    trade_id: bytes
    awaited: str


def await_until(write_batch: TableBatch, due_ns: int, trade_id: bytes, awaited: str) -> None:
    """Look at a trade when its grace is over."""
    write_batch.put(_key(due_ns, trade_id), awaited.encode())


def forget(write_batch: TableBatch, due_ns: int, trade_id: bytes) -> None:
    """It waits no longer."""
    write_batch.delete(_key(due_ns, trade_id))


def due(write_batch: TableBatch, watermark_ns: int, at_most: int, after: Waiting | None = None) -> list[Waiting]:
    """Trades whose grace is over, the first ``at_most`` of them behind ``after`` (as ``closed.due``)."""
    start = b"" if after is None else _key(after.due_ns, after.trade_id) + b"\x00"
    end = PREFIX + (watermark_ns + 1).to_bytes(8, "big")
    return list(islice(map(_waiting, write_batch.scan(PREFIX, before=end, start=start)), at_most))


def waiting(write_batch: TableBatch) -> Iterator[Waiting]:
    """Every trade that waits; of those stored the one whose grace ends first comes first."""
    return map(_waiting, write_batch.scan(PREFIX))


class Rekeying(NamedTuple):
    """The rules that deadlines are made by; ``after``: the last key looked at under them, None: all have been."""

    rules_sha256: str
    after: bytes | None


def rekeying(write_batch: TableBatch, rules_sha256: str) -> Rekeying:
    """How far the deadlines of a partition have been made by these rules; where other rules made them, not at all."""
    made_by, space, after = (write_batch.get(KEYED) or b"").partition(b" ")
    if made_by != rules_sha256.encode():
        return Rekeying(rules_sha256, b"")
    return Rekeying(rules_sha256, after if space else None)


def rekeyed(write_batch: TableBatch, rekeying: Rekeying) -> None:
    """So far they have been made by these rules."""
    after = b"" if rekeying.after is None else b" " + rekeying.after
    write_batch.put(KEYED, rekeying.rules_sha256.encode() + after)


def following(write_batch: TableBatch, rekeying: Rekeying, at_most: int) -> tuple[list[Waiting], Rekeying]:
    """The next trades whose deadlines other rules may have made, and how far these get."""
    after = rekeying.after or b""
    found = list(islice(write_batch.scan(PREFIX, start=after + b"\x00"), at_most))
    further = rekeying._replace(after=found[-1][0] if len(found) == at_most else None)
    return [_waiting(row) for row in found], further


def _key(due_ns: int, trade_id: bytes) -> bytes:
    return PREFIX + due_ns.to_bytes(8, "big") + trade_id


def _waiting(row: tuple[bytes, bytes]) -> Waiting:
    key, awaited = row
    return Waiting(int.from_bytes(key[_DUE], "big"), key[_DUE.stop :], awaited.decode())
