"""Hints: what helps whoever looks at a trade. They decide nothing."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from traderecon.matching.sides import Sides
from traderecon.records import ALL_VERSIONS, Confirmation, Execution, Hint, Outcome, PnlSnapshot, Reason
from traderecon.records.instants import NS_PER_DAY
from traderecon.records.numbers import EXACT, notional
from traderecon.rules import Pnl, Rules, foreign, net_consideration

_DOUBLE_DIGITS = 16
_DOUBLE_STEP = Decimal("1E-15")

_HALF, _TENTH = Decimal("0.5"), Decimal("0.1")

_EARLY = Hint.CONFIRM_BEFORE_EXECUTION
_TERMS = {Reason.PRICE_MISMATCH, Reason.QUANTITY_MISMATCH}


def sent_hints(sides: Sides) -> list[Hint]:
    """What the standing legs show by themselves: how they were written, which versions are missing."""
    hints = [Hint.VERSION_GAP] if sides.version_gap else []
    for leg in (sides.execution, sides.confirmation, sides.pnl):
        if leg is not None:
            hints.extend(leg.hints)
            if leg.version == ALL_VERSIONS:
                hints.append(Hint.CANCEL_UNVERSIONED)
    return hints


def pair_hints(execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> list[Hint]:
    """What the legs show side by side, whether they agree or not; a day is a UTC day."""
    hints = []
    ours_ns, theirs_ns = execution.timestamp_ns, confirmation.timestamp_ns
    if ours_ns is not None and theirs_ns is not None and theirs_ns != ours_ns:
        if theirs_ns < ours_ns:
            hints.append(_EARLY)
        if ours_ns // NS_PER_DAY != theirs_ns // NS_PER_DAY:
            hints.append(Hint.TRADE_DATE_ROLL)
    if pnl is not None and foreign(execution, pnl):
        hints.append(Hint.FX_RATE_UNAVAILABLE)
    return hints


def failure_hints(failed: Sequence[Reason], sides: Sides, rules: Rules) -> Iterator[Hint]:
    """What the failed checks of a pair look like; ``failed`` are their reasons."""
    execution, confirmation, pnl = sides.execution, sides.confirmation, sides.pnl
    if execution is None or confirmation is None:
        return
    if Reason.QUANTITY_MISMATCH in failed and _float_noise(execution.quantity, confirmation.quantity):
        yield Hint.LOOKS_LIKE_FLOAT_NOISE
    if Reason.PRICE_MISMATCH in failed and _float_noise(execution.price, confirmation.price):
        yield Hint.LOOKS_LIKE_FLOAT_NOISE
    if Reason.PNL_INCONSISTENT in failed and pnl is not None:
        if _basis_suspect(execution, pnl):
            yield Hint.PNL_BASIS_SUSPECT
        if not _TERMS.isdisjoint(failed) and _fits(confirmation, pnl, sides, rules):
            yield Hint.PNL_FITS_CONFIRMATION


def _float_noise(ours: Decimal | None, theirs: Decimal | None) -> bool:
    """Apart by no more than a double's last digits, and one of them has a double's many digits."""
    if ours is None or theirs is None:
        return False
    step = EXACT.multiply(max(ours.copy_abs(), theirs.copy_abs()), _DOUBLE_STEP)
    if EXACT.subtract(ours, theirs).copy_abs() > step:
        return False
    return max(len(ours.as_tuple().digits), len(theirs.as_tuple().digits)) >= _DOUBLE_DIGITS


def _basis_suspect(execution: Execution, pnl: PnlSnapshot) -> bool:
    """Off by more than half the notional, with a pnl_impact below a tenth of it: perhaps not net money at all.

    Source: DOMAIN.md 4.2 (b).
    """
    price, quantity = execution.price, execution.quantity
    if price is None or quantity is None or pnl.pnl_impact is None or pnl.commission is None:
        return False
    amount = notional(price, quantity)
    expected = net_consideration(price, quantity, pnl.commission)
    off_by = EXACT.subtract(expected, pnl.pnl_impact).copy_abs()
    return off_by > EXACT.multiply(amount, _HALF) and pnl.pnl_impact.copy_abs() < EXACT.multiply(amount, _TENTH)


def _fits(confirmation: Confirmation, pnl: PnlSnapshot, sides: Sides, rules: Rules) -> bool:
    """Whether the snapshot agrees with the terms the broker confirms. Source: DOMAIN.md 4.2 (e)."""
    return any(
        rule.judge(confirmation, pnl).outcome in {Outcome.PASS, Outcome.WITHIN_TOLERANCE}
        for rule in rules.checks
        if isinstance(rule, Pnl) and not rule.disputed(confirmation, pnl, sides.contested)
    )
