"""Clocks: whether the times of a broker drift one way, before a trade breaks for it.

    pairs of one broker, all +80 to +99 ms of 100 allowed   ->   its clock, or ours, is wrong

A difference within half of the tolerance says nothing, in either direction: a confirmation may well be a little earlier
than its execution. Source: DOMAIN.md C19; the CAT's duty to log drift.
"""

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec

from traderecon.matching.sides import Sides
from traderecon.records.instants import milliseconds
from traderecon.rules import Rules, Timestamp

PAIRS_NEEDED = 50
"""A trend of fewer pairs may be chance."""
PAIRS_KEPT = 400
"""With this many pairs every count is halved, so that the newest pairs have the most weight."""
_NINE_TENTHS = 9, 10


class Drift(msgspec.Struct):
    """The pairs of one broker: how many, and in how many the confirmation was far later, or far earlier."""

    pairs: int = 0
    later: int = 0
    earlier: int = 0

    @property
    def one_way(self) -> bool:
        """Whether nine in ten of enough pairs are far off in the same direction."""
        share, whole = _NINE_TENTHS
        return self.pairs >= PAIRS_NEEDED and max(self.later, self.earlier) * whole >= self.pairs * share

    def merge(self, other: Self) -> None:
        """Add the pairs of another part."""
        self.pairs += other.pairs
        self.later += other.later
        self.earlier += other.earlier


class Clocks:
    """The drift of every broker, under these rules; a broker is known where a leg names it."""

    def __init__(self, rules: Rules) -> None:
        rule = next((rule for rule in rules.checks if isinstance(rule, Timestamp)), None)
        self._tolerance_ns = None if rule is None else rule.tolerance_ns
        self.drifts: dict[str, Drift] = {}

    def add(self, sides: Sides) -> None:
        """Count a pair; without both times, a broker, or a timestamp check it is none."""
        ours, theirs = sides.execution, sides.confirmation
        if ours is None or theirs is None or self._tolerance_ns is None:
            return
        broker = theirs.broker or ours.broker
        if broker is None or ours.timestamp_ns is None or theirs.timestamp_ns is None:
            return
        drift = self.drifts.setdefault(broker, Drift())
        ahead_ns = theirs.timestamp_ns - ours.timestamp_ns
        drift.pairs += 1
        drift.later += 2 * ahead_ns > self._tolerance_ns
        drift.earlier += -2 * ahead_ns > self._tolerance_ns

    def forget(self) -> None:
        """Let old pairs fade."""
        for drift in self.drifts.values():
            if drift.pairs >= PAIRS_KEPT:
                drift.pairs, drift.later, drift.earlier = drift.pairs // 2, drift.later // 2, drift.earlier // 2

    def drifting(self) -> dict[str, str]:
        """For each suspect broker a text that says what was seen, and what to do."""
        tolerance_ns = self._tolerance_ns or 0
        return {broker: _text(broker, it, tolerance_ns) for broker, it in sorted(self.drifts.items()) if it.one_way}


def clock_texts(drifts: Mapping[str, Drift], rules: Rules) -> list[str]:
    """The texts of the suspect brokers among these, in the order of their names."""
    clocks = Clocks(rules)
    clocks.drifts = dict(drifts)
    return [*clocks.drifting().values()]


def merge(drifts: dict[str, Drift], others: Iterable[tuple[str, Drift]]) -> None:
    """Add the drifts of another part to ``drifts``."""
    for broker, drift in others:
        drifts.setdefault(broker, Drift()).merge(drift)


def _text(broker: str, drift: Drift, tolerance_ns: int) -> str:
    way, count = ("later", drift.later) if drift.later >= drift.earlier else ("earlier", drift.earlier)
    return (
        f"the confirmations of {broker} are more than {milliseconds(tolerance_ns // 2)} ms {way} than the executions "
        f"in {count:,} of {drift.pairs:,} trades: one of the two clocks is wrong. Compare both with UTC before trades "
        "break."
    )
