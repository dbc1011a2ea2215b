"""Closed trades: the row that remains of a trade after its retention, and the timers that end a retention.

    At, Av      ->  over all forgotten trades: the latest time of a leg (the leg's own), the highest version
    B trade_id  ->  version, space, JSON: last published result, journal offset up to which facts are deleted
    c due (8 bytes, nanoseconds) trade_id  ->  empty: a timer of the trade

A closed row never changes and takes precedence: earlier facts are ignored, even if a suspended worker writes them late.
Facts with a later offset are legs of a closed trade. Rows ``A`` and ``B`` are monotonic, and first in key order: if a
crash cuts off a large write, a trade is closed before its facts are deleted, and the horizon is updated before a trade
is forgotten.
"""

from itertools import islice
from typing import NamedTuple

import msgspec

from traderecon.records import LastPublished

from .batch_table import TableBatch

DUE, CLOSED, HORIZON_NS, HORIZON_VERSION = b"c", b"B", b"At", b"Av"
MONOTONIC = (CLOSED, b"A")
_DUE_NS = slice(1, 9)


class Closed(msgspec.Struct, frozen=True, gc=False, rename={"last_published": "told"}):
    """The row of a closed trade.

    ``last_published``: its last published result, ``told`` in the stored JSON. ``offset``: facts up to this journal
    offset are deleted. ``latest_ns``: the latest time among its legs.
    """

    version: int
    last_published: LastPublished | None
    offset: int
    closed_at_ns: int
    latest_ns: int


class RetentionTimer(NamedTuple):
    """When the watermark reaches ``due_ns``, the trade may have to be closed, or forgotten if it is closed."""

    due_ns: int
    trade_id: bytes


class Horizon(NamedTuple):
    """Over all forgotten trades: the latest time of a leg (its own) and the highest version; 0 if there are none."""

    latest_ns: int
    version: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Closed).decode


def set_timer(write_batch: TableBatch, due_ns: int, trade_id: bytes) -> None:
    """Set a timer of the trade."""
    write_batch.put(key(due_ns, trade_id), b"")


def clear_timer(write_batch: TableBatch, timer: RetentionTimer) -> None:
    """Remove a timer."""
    write_batch.delete(key(*timer))


def due(
    write_batch: TableBatch, watermark_ns: int, at_most: int, after: RetentionTimer | None = None
) -> list[RetentionTimer]:
    """The first ``at_most`` timers due now that follow ``after``.

    A sweep in steps continues after its last timer, so that it does not scan its deleted rows again.
    """
    start, end = b"" if after is None else key(*after) + b"\x00", DUE + (watermark_ns + 1).to_bytes(8, "big")
    rows = islice(write_batch.scan(DUE, before=end, start=start), at_most)
    return [RetentionTimer(int.from_bytes(row_key[_DUE_NS], "big"), row_key[_DUE_NS.stop :]) for row_key, _ in rows]


def of(write_batch: TableBatch, trade_id: bytes) -> Closed | None:
    """The closed row of a trade; None if it is not closed."""
    row = write_batch.get(CLOSED + trade_id)
    return None if row is None else _decode(row.partition(b" ")[2])


def put(write_batch: TableBatch, trade_id: bytes, closed: Closed) -> None:
    """Close a trade."""
    write_batch.put(CLOSED + trade_id, b"%d %b" % (closed.version, _encode(closed)))


def forget(write_batch: TableBatch, trade_id: bytes, closed: Closed, version: int) -> None:
    """Delete a closed row and raise the horizon, by which a later leg is recognized through its own time."""
    write_batch.delete(CLOSED + trade_id)
    for key, number in ((HORIZON_NS, closed.latest_ns), (HORIZON_VERSION, version)):
        write_batch.put(key, b"%d" % max(number, int(write_batch.get(key) or b"0")))


def horizon(write_batch: TableBatch) -> Horizon:
    """The horizon of all forgotten trades."""
    return Horizon(int(write_batch.get(HORIZON_NS) or b"0"), int(write_batch.get(HORIZON_VERSION) or b"0"))


def key(due_ns: int, trade_id: bytes) -> bytes:
    """The key of a timer."""
    return DUE + due_ns.to_bytes(8, "big") + trade_id
