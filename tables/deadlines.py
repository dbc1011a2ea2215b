"""Deadlines: which trades wait, until when and for what; swept as the watermark moves.

    d due (8 bytes, nanoseconds) trade_id  ->  what it waits for

    k  ->  sha256 of the rules that made the deadlines; during a change of rules also a space and the last key processed

A row only sets a timer; the verdict depends on the trade's facts. A superfluous row costs one more judgement.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from .batch_table import TableBatch

PREFIX = b"d"
KEYED = b"k"
_DUE = slice(1, 9)


class Deadline(NamedTuple):
    """When the grace of a waiting trade ends, by the log's time, and what the trade waits for."""

    due_ns: int
    trade_id: bytes
    waiting_for: str


def add_deadline(write_batch: TableBatch, due_ns: int, trade_id: bytes, waiting_for: str) -> None:
    """Add a deadline, at which a trade's grace ends."""
    write_batch.put(_key(due_ns, trade_id), waiting_for.encode())


def forget(write_batch: TableBatch, due_ns: int, trade_id: bytes) -> None:
    """Delete a deadline."""
    write_batch.delete(_key(due_ns, trade_id))


def due(write_batch: TableBatch, watermark_ns: int, at_most: int, after: Deadline | None = None) -> list[Deadline]:
    """The first ``at_most`` deadlines that have passed and follow ``after`` (see ``closed.due``)."""
    start = b"" if after is None else _key(after.due_ns, after.trade_id) + b"\x00"
    end = PREFIX + (watermark_ns + 1).to_bytes(8, "big")
    return list(islice(map(_deadline, write_batch.scan(PREFIX, before=end, start=start)), at_most))


def all_deadlines(write_batch: TableBatch) -> Iterator[Deadline]:
    """The deadline of every waiting trade: the stored ones by end of grace, then this batch's."""
    return map(_deadline, write_batch.scan(PREFIX))


def counts(write_batch: TableBatch) -> Counter[str]:
    """How many trades wait for each thing they wait for."""
    rows = Counter(value for _, value in write_batch.scan(PREFIX))
    return Counter({waiting_for.decode(): count for waiting_for, count in rows.items()})


class Rejudgement(NamedTuple):
    """Progress of a change of rules. ``after``: the last key processed under these rules; None if all are."""

    rules_sha256: str
    after: bytes | None


def rejudgement(write_batch: TableBatch, rules_sha256: str) -> Rejudgement:
    """How far a partition's deadlines were updated to these rules; from the start if other rules made them."""
    made_by, space, after = (write_batch.get(KEYED) or b"").partition(b" ")
    if made_by != rules_sha256.encode():
        return Rejudgement(rules_sha256, b"")
    return Rejudgement(rules_sha256, after if space else None)


def put_rejudgement(write_batch: TableBatch, rejudgement: Rejudgement) -> None:
    """Store the progress of a change of rules."""
    after = b"" if rejudgement.after is None else b" " + rejudgement.after
    write_batch.put(KEYED, rejudgement.rules_sha256.encode() + after)


def rejudgement_rows(
    write_batch: TableBatch, rejudgement: Rejudgement, at_most: int
) -> tuple[list[Deadline], Rejudgement]:
    """The next trades whose deadlines may come from other rules, and the progress after them."""
    after = rejudgement.after or b""
    rows = list(islice(write_batch.scan(PREFIX, start=after + b"\x00"), at_most))
    progress = rejudgement._replace(after=rows[-1][0] if len(rows) == at_most else None)
    return [_deadline(row) for row in rows], progress


def _key(due_ns: int, trade_id: bytes) -> bytes:
    return PREFIX + due_ns.to_bytes(8, "big") + trade_id


def _deadline(row: tuple[bytes, bytes]) -> Deadline:
    key, waiting_for = row
    return Deadline(int.from_bytes(key[_DUE], "big"), key[_DUE.stop :], waiting_for.decode())
