"""Activities: when each source last spoke, and its rhythm, by the log's time.

    G source name  ->  rank, pause, number of pauses, resumed, late (``records.activity``)

The rank combines epoch and time as in ``watermarks``: monotonic, so that a late write of a suspended worker does not
make a source silent. Rows are written in key order, these before the held trades: a write that is cut off must not let
go of a trade and forget that its source was heard. One row per topic and per broker named in it, at most
``MAX_SOURCES``.
"""

from collections.abc import Iterator
from typing import NamedTuple

from traderecon.records.activity import Activity

from .batch_table import TableBatch
from .watermarks import EPOCH_NS

PREFIX = b"G"
MONOTONIC = (PREFIX,)
MAX_SOURCES = 1_000
"""A broker beyond is not known by itself: what waits for it is held if the whole topic is silent."""


class ActivityRow(NamedTuple):
    """The activity of a source in an epoch of the log's time."""

    name: str
    epoch: int
    activity: Activity


def rows(write_batch: TableBatch) -> Iterator[ActivityRow]:
    """Every row."""
    return (_row(key, value) for key, value in write_batch.scan(PREFIX))


def get(write_batch: TableBatch, name: str) -> ActivityRow | None:
    """The row of a source; None if it has never spoken."""
    key = PREFIX + name.encode()
    value = write_batch.get(key)
    return None if value is None else _row(key, value)


def put(write_batch: TableBatch, row: ActivityRow) -> None:
    """Store a row."""
    spoke_ns, *rest = row.activity
    numbers = (row.epoch * EPOCH_NS + spoke_ns, *rest)
    write_batch.put(PREFIX + row.name.encode(), b" ".join([b"%d" % number for number in numbers]))


def _row(key: bytes, value: bytes) -> ActivityRow:
    rank, *rest = map(int, value.split())
    epoch, spoke_ns = divmod(rank, EPOCH_NS)
    return ActivityRow(key[len(PREFIX) :].decode(), epoch, Activity(spoke_ns, *rest))
