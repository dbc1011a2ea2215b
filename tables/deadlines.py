"""Deadlines: which trades wait, until when and for what; swept as the watermark moves.

    d due (8 bytes, nanoseconds) trade_id  ->  what it waits for

    k  ->  sha256 of the rules that made the deadlines; during a change of rules also a space and the last key processed

A row only schedules a check; the verdict depends on the trade's facts. A superfluous row costs one check.
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
    waiting_for: str


def add_deadline(write_batch: TableBatch, due_ns: int, trade_id: bytes, waiting_for: str) -> None:
    """Add a deadline, at which a trade's grace ends."""
    write_batch.put(_key(due_ns, trade_id), waiting_for.encode())


def forget(write_batch: TableBatch, due_ns: int, trade_id: bytes) -> None:
    """Delete a deadline."""
    write_batch.delete(_key(due_ns, trade_id))


def due(write_batch: TableBatch, watermark_ns: int, at_most: int, after: Waiting | None = None) -> list[Waiting]:
    """The first ``at_most`` trades whose grace is over that follow ``after`` (see ``closed.due``)."""
    start = b"" if after is None else _key(after.due_ns, after.trade_id) + b"\x00"
    end = PREFIX + (watermark_ns + 1).to_bytes(8, "big")
    return list(islice(map(_waiting, write_batch.scan(PREFIX, before=end, start=start)), at_most))


def waiting(write_batch: TableBatch) -> Iterator[Waiting]:
    """Every waiting trade: the stored ones by end of grace, then this batch's."""
    return map(_waiting, write_batch.scan(PREFIX))


class Rekeying(NamedTuple):
    """Progress of a change of rules. ``after``: the last key processed under these rules; None if all are."""

    rules_sha256: str
    after: bytes | None


def rekeying(write_batch: TableBatch, rules_sha256: str) -> Rekeying:
    """How far a partition's deadlines were updated to these rules; from the start if other rules made them."""
    made_by, space, after = (write_batch.get(KEYED) or b"").partition(b" ")
    if made_by != rules_sha256.encode():
        return Rekeying(rules_sha256, b"")
    return Rekeying(rules_sha256, after if space else None)


def put_rekeying(write_batch: TableBatch, rekeying: Rekeying) -> None:
    """Store the progress of a change of rules."""
    after = b"" if rekeying.after is None else b" " + rekeying.after
    write_batch.put(KEYED, rekeying.rules_sha256.encode() + after)


def following(write_batch: TableBatch, rekeying: Rekeying, at_most: int) -> tuple[list[Waiting], Rekeying]:
    """The next trades whose deadlines may come from other rules, and the progress after them."""
    after = rekeying.after or b""
    rows = list(islice(write_batch.scan(PREFIX, start=after + b"\x00"), at_most))
    progress = rekeying._replace(after=rows[-1][0] if len(rows) == at_most else None)
    return [_waiting(row) for row in rows], progress


def _key(due_ns: int, trade_id: bytes) -> bytes:
    return PREFIX + due_ns.to_bytes(8, "big") + trade_id


def _waiting(row: tuple[bytes, bytes]) -> Waiting:
    key, waiting_for = row
    return Waiting(int.from_bytes(key[_DUE], "big"), key[_DUE.stop :], waiting_for.decode())
