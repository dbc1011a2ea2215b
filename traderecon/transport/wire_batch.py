"""Rows put into a batch of aiokafka's, as it goes to a broker."""

from collections.abc import Sequence
from typing import Any

from traderecon.transport.microbatch import Outgoing


def fill(wire: Any, rows: Sequence[Outgoing]) -> int:
    """Put as many rows as fit into a batch of aiokafka's; gives how many did.

    Past the batch, into its builder: its own ``append`` costs as much again for every record.
    """
    add, at = wire._builder.append, 0
    for key, value, timestamp_ms, headers in rows:
        if add(at, timestamp_ms, key, value, [*headers]) is None:
            wire.close()
            break
        at += 1
    wire._relative_offset = at
    return at
