"""Drift: how far apart the timestamps of the two sides are."""

from typing import ClassVar

import msgspec

from traderecon.records import Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.records.words import Word
from traderecon.rules.tolerance import Bound

_UNIT_NS = tuple(int("1" + "0" * (9 - digits)) for digits in range(10))
"""The value in nanoseconds of the last fraction digit, by the number of digits."""

_PASS, _WITHIN, _FAIL = Outcome.PASS, Outcome.WITHIN_TOLERANCE, Outcome.FAIL


class Precision(Word):
    """How to read a timestamp that was sent in whole seconds (or milliseconds)."""

    EXACT = "exact"
    """As the start of the second."""
    GRANULARITY_AWARE = "granularity_aware"
    """As any moment in the second, if the other side is more precise."""


class Timestamp(msgspec.Struct, frozen=True, tag_field="check", tag="timestamp"):
    """The distance between the two timestamps, at most ``tolerance_ns`` nanoseconds, in either direction."""

    tolerance_ns: int
    bound: Bound = Bound.INCLUSIVE
    precision: Precision = Precision.EXACT
    name: ClassVar[str] = "timestamp"
    reason: ClassVar[Reason] = Reason.TIMESTAMP_DRIFT
    operands: ClassVar = frozenset({(Source.EXECUTIONS, "timestamp_ns"), (Source.CONFIRMATIONS, "timestamp_ns")})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare in whole nanoseconds. Source: DOMAIN.md 5.2, Timestamp."""
        ours, theirs = execution.timestamp_ns, confirmation.timestamp_ns
        if ours is None or theirs is None:
            return Check(self.name, self.reason, Outcome.NOT_CHECKED, note="timestamp is absent")
        drift_ns = abs(ours - theirs)
        if not drift_ns:
            return Check(self.name, self.reason, _PASS, ours, theirs, 0, self.tolerance_ns)
        if self.precision is Precision.GRANULARITY_AWARE:
            drift_ns = _least_drift_ns((ours, execution.granularity), (theirs, confirmation.granularity))
        limit = self.tolerance_ns
        if not drift_ns:
            outcome = _PASS
        elif drift_ns < limit or (drift_ns == limit and self.bound is Bound.INCLUSIVE):
            outcome = _WITHIN
        else:
            outcome = _FAIL
        return Check(self.name, self.reason, outcome, ours, theirs, drift_ns, limit)


def _least_drift_ns(*timestamps: tuple[int, int]) -> int:
    """The distance from the finer timestamp to the interval of the coarser; each has its granularity beside it."""
    (start_ns, coarse_digits), (fine_ns, fine_digits) = sorted(timestamps, key=lambda timestamp: timestamp[1])
    last_ns = start_ns + _UNIT_NS[coarse_digits] - _UNIT_NS[fine_digits]
    return max(start_ns - fine_ns, fine_ns - last_ns, 0)
