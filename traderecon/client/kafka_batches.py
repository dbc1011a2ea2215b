"""Rows as the batches of aiokafka."""

from collections.abc import Iterator, Sequence
from typing import Any

from traderecon.transport.microbatch import Outgoing


def batches(producer: Any, rows: Sequence[Outgoing]) -> Iterator[tuple[Any, Sequence[Outgoing]]]:
    """The rows in as few batches as fit ``BATCH_BYTES``: each as it goes on the wire, and its rows.

    A row that is larger is a batch of its own, and the topic's to take or to refuse.
    """
    at = 0
    while at < len(rows):
        wire = producer.create_batch()
        first = at
        while at < len(rows) and (add(wire, rows[at]) is not None or at == first):
            at += 1
        yield wire, rows[first:at]


def add(wire: Any, row: Outgoing) -> Any:
    """Put a row into a batch; None where it does not fit."""
    return wire.append(key=row.key, value=row.value, timestamp=row.timestamp_ms, headers=list(row.headers))
