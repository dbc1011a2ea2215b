"""Clocks: whether the times of a broker drift one way, before a trade breaks for it.

    pairs of one broker, all +80 to +99 ms of 100 allowed   ->   its clock, or ours, is wrong

A difference within half of the tolerance says nothing, in either direction: a confirmation may well be a little earlier
than its execution. Source: DOMAIN.md C19; the CAT's duty to log drift.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

from traderecon.matching.sides import Sides
from traderecon.records import Verdict
from traderecon.rules import Timestamp

PAIRS_NEEDED = 50
"""A trend of fewer pairs may be chance."""
PAIRS_KEPT = 400
"""With this many pairs every count is halved, so that the newest pairs have the most weight."""
BROKERS_KEPT = 1_000
"""A broker is free text of the feeds: beyond this many names no other is watched."""
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
    """The drift of every broker; a broker is known where a leg names it."""

    def __init__(self) -> None:
        self.drifts: dict[str, Drift] = {}

    def add(self, sides: Sides, verdict: Verdict) -> None:
        """Count a pair by its timestamp check, which knows the tolerance and the precision of its trade."""
        ours, theirs = sides.execution, sides.confirmation
        if ours is None or theirs is None or ours.timestamp_ns is None or theirs.timestamp_ns is None:
            return
        broker = theirs.broker or ours.broker
        check = next((check for check in verdict.checks if check.name == Timestamp.name), None)
        if broker is None or check is None or check.tolerance is None or check.difference is None:
            return
        drift = self.drifts.get(broker)
        if drift is None:
            if len(self.drifts) >= BROKERS_KEPT:
                return
            drift = self.drifts[broker] = Drift()
        far = 2 * check.difference > check.tolerance
        drift.pairs += 1
        drift.later += far and theirs.timestamp_ns > ours.timestamp_ns
        drift.earlier += far and theirs.timestamp_ns < ours.timestamp_ns

    def forget(self) -> None:
        """Let old pairs fade."""
        for drift in self.drifts.values():
            if drift.pairs >= PAIRS_KEPT:
                drift.pairs, drift.later, drift.earlier = drift.pairs // 2, drift.later // 2, drift.earlier // 2

    def drifting(self) -> dict[str, str]:
        """For each broker whose times drift a text that says what was seen, and what to do."""
        return {broker: _text(broker, drift) for broker, drift in sorted(self.drifts.items()) if drift.one_way}


def merge(drifts: dict[str, Drift], others: Iterable[tuple[str, Drift]]) -> None:
    """Add the drifts of another part to ``drifts``."""
    for broker, drift in others:
        drifts.setdefault(broker, Drift()).merge(drift)


def _text(broker: str, drift: Drift) -> str:
    way, count = ("later", drift.later) if drift.later >= drift.earlier else ("earlier", drift.earlier)
    return (
        f"the confirmations of {broker} are {way} than the executions by more than half of the tolerance in {count:,} "
        f"of {drift.pairs:,} trades: one of the two clocks is wrong. Compare both with UTC before trades break."
    )
