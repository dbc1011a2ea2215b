"""Open transactions: partitions whose last stable offset stands still below the high watermark.

    observe(last stable offsets, high watermarks, now)  ->  the transactions that hang

A consumer of committed records reads up to the first record of the oldest open transaction of a partition. A producer
with transactions has one open most of the time, so only a last stable offset that does not move hangs.

Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

from faust.types import TP

HANGS_S = 10.0
"""A transaction that has been seen open for so long is an incident. A Kafka ends one after a minute unless its producer
asks for longer."""


class Hanging(NamedTuple):
    """A transaction that is open for too long."""

    first_offset: int
    """Its first record, and the first that cannot be read."""
    since_s: float
    """When it was first seen, in the clock of the caller."""
    behind: int
    """Offsets from there to the high watermark."""


class OpenTransactions:
    """What has been seen of the partitions of one consumer."""

    def __init__(self, hangs_s: float = HANGS_S) -> None:
        self._hangs_s = hangs_s
        self._seen: dict[TP, tuple[int, float]] = {}

    def observe(self, stable: Mapping[TP, int], high: Mapping[TP, int], now_s: float) -> Mapping[TP, Hanging]:
        """The transactions that hang; a partition that did not answer both questions keeps what was seen of it."""
        hanging = {}
        for tp in stable.keys() & high.keys():
            offset = stable[tp]
            if offset >= high[tp]:
                self._seen.pop(tp, None)
                continue
            if tp not in self._seen or self._seen[tp][0] != offset:
                self._seen[tp] = offset, now_s
            since_s = self._seen[tp][1]
            if now_s - since_s >= self._hangs_s:
                hanging[tp] = Hanging(offset, since_s, high[tp] - offset)
        return hanging
