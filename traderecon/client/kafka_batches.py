"""Splits rows into aiokafka batches."""

from collections.abc import Iterator, Sequence
from typing import Any

from traderecon.transport.microbatch import Outgoing


def batches(producer: Any, rows: Sequence[Outgoing]) -> Iterator[tuple[Any, Sequence[Outgoing]]]:
    """Split rows into as few batches of ``BATCH_BYTES`` as possible; yields each aiokafka batch with its rows.

    A larger row gets its own batch, which the topic accepts or rejects.
    """
    end = 0
    while end < len(rows):
        wire = producer.create_batch()
        first = end
        while end < len(rows) and (add(wire, rows[end]) is not None or end == first):
            end += 1
        yield wire, rows[first:end]


def add(wire: Any, row: Outgoing) -> Any:
    """Add a row to a batch; None if it does not fit."""
    return wire.append(key=row.key, value=row.value, timestamp=row.timestamp_ms, headers=list(row.headers))
