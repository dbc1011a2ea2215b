"""Drift: how far apart the timestamps of the two sides are."""

from typing import ClassVar

import msgspec

from traderecon.records import Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.records.words import Word
from traderecon.rules.amounts import absent
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


class DriftProfile(Word):
    """How far two clocks may drift apart under a regulation: the sum of what it allows each side.

    Source: DOMAIN.md 2.3; Commission Delegated Regulation (EU) 2017/574 (RTS 25), FINRA 4590 and 6820.
    """

    EU_HFT = "EU_HFT"
    """RTS 25, high-frequency algorithmic trading: 100 us from UTC on each side."""
    EU_ALGO = "EU_ALGO"
    """RTS 25, other algorithmic trading: 1 ms on each side."""
    EU_VOICE = "EU_VOICE"
    """RTS 25, voice trading and requests for quotes: 1 s on each side."""
    US_CAT = "US_CAT"
    """FINRA 4590, 6820: 50 ms from NIST on each side."""
    US_CAT_MANUAL = "US_CAT_MANUAL"
    """FINRA 6820, manual order events: 1 s on each side."""

    @property
    def tolerance_ns(self) -> int:
        """The distance that both sides together may have.

        >>> DriftProfile.EU_ALGO.tolerance_ns
        2000000
        """
        return 2 * _DIVERGENCE_NS[self]


_DIVERGENCE_NS = {
    DriftProfile.EU_HFT: 100_000,
    DriftProfile.EU_ALGO: NS_PER_MS,
    DriftProfile.EU_VOICE: NS_PER_S,
    DriftProfile.US_CAT: 50 * NS_PER_MS,
    DriftProfile.US_CAT_MANUAL: NS_PER_S,
}
"""How far one clock may be off."""


class Timestamp(msgspec.Struct, frozen=True, tag_field="check", tag="timestamp"):
    """The distance between the two timestamps, at most ``tolerance_ns`` nanoseconds, in either direction.

    ``profile``: the regulation that the tolerance comes from, if a rules file names it.
    """

    tolerance_ns: int
    bound: Bound = Bound.INCLUSIVE
    precision: Precision = Precision.EXACT
    profile: DriftProfile | msgspec.UnsetType = msgspec.UNSET
    name: ClassVar[str] = "timestamp"
    reason: ClassVar[Reason] = Reason.TIMESTAMP_DRIFT
    operands: ClassVar = frozenset({(Source.EXECUTIONS, "timestamp_ns"), (Source.CONFIRMATIONS, "timestamp_ns")})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare in whole nanoseconds. Source: DOMAIN.md 5.2, Timestamp."""
        ours, theirs = execution.timestamp_ns, confirmation.timestamp_ns
        if ours is None or theirs is None:
            return absent(self.name, self.reason, ours, theirs)
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
