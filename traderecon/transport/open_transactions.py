"""Hanging transactions: partitions whose last stable offset does not move and is below the high watermark.

    observe(last stable offsets, high watermarks, now)  ->  hanging transactions

A read-committed consumer reads up to the first record of the oldest open transaction of a partition. A transactional
producer has one open most of the time, so a transaction hangs only if the last stable offset does not move. Pure.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from faust.types import TP

HANGS_S = 10.0
"""A transaction seen open for this long is an incident. Kafka aborts one after a minute by default; a producer may set
a longer timeout."""


class Hanging(NamedTuple):
    """A transaction that has been open for too long."""

    first_offset: int
    """Its first record, which is also the first that cannot be read."""
    since_s: float
    """When it was first seen, by the caller's clock."""
    behind: int
    """Offsets from there to the high watermark."""


class OpenTransactions:
    """The open transactions seen by one consumer."""

    def __init__(self, hangs_s: float = HANGS_S) -> None:
        self._hangs_s = hangs_s
        self._seen: dict[TP, tuple[int, float]] = {}

    def observe(self, stable: "Mapping[TP, int]", high: "Mapping[TP, int]", now_s: float) -> "Mapping[TP, Hanging]":
        """Return the hanging transactions; a partition without both offsets keeps its earlier observation."""
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
