"""Closed trades: what is left of a trade at the end of its retention, and when to look whether it has come.

    At, Av      ->  of the trades that were forgotten: the latest time a leg of them gives itself, the highest version
    B trade_id  ->  version, space, JSON: what was published last, the journal offset up to which its facts are gone
    c due (8 bytes, nanoseconds) trade_id  ->  nothing: look at this trade then

A closed row is never changed, and dominates: facts that came before it are passed over, also those that a worker writes
late which was stopped and woke up. Facts with a later offset are legs for a trade that is closed. Rows ``A`` and ``B``
never fall (``MONOTONIC``), and come first in the order of keys: where a death cuts a large write, a trade is closed
before its facts are gone, and what is forgotten is on record before it goes.
"""

from itertools import islice
from typing import NamedTuple

import msgspec

from traderecon.records import LastPublished

from .batch_table import TableBatch

DUE, CLOSED, HORIZON_NS, HORIZON_VERSION = b"c", b"B", b"At", b"Av"
MONOTONIC = (CLOSED, b"A")
_AT = slice(1, 9)


class Closed(msgspec.Struct, frozen=True, gc=False):
    """``offset``: of the journal, up to which facts are gone; ``latest_ns``: the latest own time of a leg of it."""

    version: int
    told: LastPublished | None
    offset: int
    closed_at_ns: int
    latest_ns: int


class Look(NamedTuple):
    """Look at a trade when the watermark has come to ``due_ns``."""

    due_ns: int
    trade_id: bytes


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Closed).decode


def look_at(write_batch: TableBatch, due_ns: int, trade_id: bytes) -> None:
    """Look at the trade then."""
    write_batch.put(key(due_ns, trade_id), b"")


def looked_at(write_batch: TableBatch, look: Look) -> None:
    """It has been looked at."""
    write_batch.delete(key(*look))


def due(write_batch: TableBatch, watermark_ns: int, at_most: int, after: Look | None = None) -> list[Look]:
    """The trades to look at by now, the first ``at_most`` of them behind ``after``.

    A sweep in steps goes on behind its last one, so that it does not walk over what it has deleted again and again.
    """
    start, end = b"" if after is None else key(*after) + b"\x00", DUE + (watermark_ns + 1).to_bytes(8, "big")
    found = islice(write_batch.scan(DUE, before=end, start=start), at_most)
    return [Look(int.from_bytes(row[_AT], "big"), row[_AT.stop :]) for row, _ in found]


def of(write_batch: TableBatch, trade_id: bytes) -> Closed | None:
    """What is left of a closed trade; None for one that is not closed."""
    found = write_batch.get(CLOSED + trade_id)
    return None if found is None else _decode(found.partition(b" ")[2])


def put(write_batch: TableBatch, trade_id: bytes, closed: Closed) -> None:
    """Close a trade."""
    write_batch.put(CLOSED + trade_id, b"%d %b" % (closed.version, _encode(closed)))


def forget(write_batch: TableBatch, trade_id: bytes, closed: Closed, version: int) -> None:
    """Nothing is left of it but that it was: a later leg is known by the time it gives itself."""
    write_batch.delete(CLOSED + trade_id)
    for key, number in ((HORIZON_NS, closed.latest_ns), (HORIZON_VERSION, version)):
        write_batch.put(key, b"%d" % max(number, int(write_batch.get(key) or b"0")))


def horizon(write_batch: TableBatch) -> tuple[int, int]:
    """Of all trades that were forgotten: the latest time of a leg (ns; 0: none was), the highest version."""
    return int(write_batch.get(HORIZON_NS) or b"0"), int(write_batch.get(HORIZON_VERSION) or b"0")


def key(due_ns: int, trade_id: bytes) -> bytes:
    """Of the row that says when to look at a trade."""
    return DUE + due_ns.to_bytes(8, "big") + trade_id
