"""Compare two amounts under a tolerance, for the quantity, price and pnl checks."""

from decimal import Decimal

from traderecon.records import Check, Operand, Outcome, Reason
from traderecon.records.numbers import EXACT, ZERO
from traderecon.rules.tolerance import Bound, Tolerance

_subtract = EXACT.subtract
_PASS, _WITHIN, _FAIL = Outcome.PASS, Outcome.WITHIN_TOLERANCE, Outcome.FAIL
_STRICT = Bound.STRICT


def absent(name: str, reason: Reason, ours: Operand, theirs: Operand) -> Check:
    """The check of a term that a side lacks: it fails.

    A record without a checked term is rejected, unless its intake worker's file had the check off. Under other rules
    nothing is proven of it.
    """
    return Check(name, reason, _FAIL, ours, theirs, note=f"{name} is absent")


def compare(
    name: str, reason: Reason, ours: Decimal | None, theirs: Decimal | None, tolerance: Tolerance, *, note: str = ""
) -> Check:
    """PASS when equal by value, WITHIN_TOLERANCE when no further apart than allowed, else FAIL.

    >>> from traderecon.rules.tolerance import Absolute
    >>> cent = Absolute(amount=Decimal("0.005"))
    >>> compare("price", Reason.PRICE_MISMATCH, Decimal("10.010"), Decimal("10.015"), cent).outcome
    <Outcome.WITHIN_TOLERANCE: 'WITHIN_TOLERANCE'>

    FAIL if one is absent. Only a proven agreement passes. Source: DOMAIN.md 5.2.
    """
    if ours is None or theirs is None:
        return absent(name, reason, ours, theirs)
    limit = tolerance.limit(ours, theirs)
    if ours == theirs:
        return Check(name, reason, _PASS, ours, theirs, ZERO, limit, note)
    difference = _subtract(ours, theirs).copy_abs()
    agrees = difference < limit if tolerance.bound is _STRICT else difference <= limit
    return Check(name, reason, _WITHIN if agrees else _FAIL, ours, theirs, difference, limit, note)
