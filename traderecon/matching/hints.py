"""Hints: what helps a reader of a trade understand it. They decide nothing."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from traderecon.matching.confusables import confusable
from traderecon.matching.sides import Sides
from traderecon.records import ALL_VERSIONS, Check, Confirmation, Execution, Hint, PnlSnapshot, Reason
from traderecon.records.instants import NS_PER_DAY
from traderecon.records.numbers import EXACT, notional
from traderecon.rules import Basis, Pnl, Rules, Side, currencies_differ, net_consideration

_DOUBLE_DIGITS = 16
_DOUBLE_STEP = Decimal("1E-15")

_HALF, _TENTH = Decimal("0.5"), Decimal("0.1")

_EARLY = Hint.CONFIRM_BEFORE_EXECUTION
_NOT_NET_MONEY = {Basis.REALIZED, Basis.MARK_TO_MARKET, Basis.EXPRESSION}
"""The bases that expect a profit, which is small beside the notional, or whatever the rules say."""
_BASES = {
    Basis.NET_CONSIDERATION: Hint.PNL_FITS_NET_CONSIDERATION,
    Basis.NET_CONSIDERATION_SIDED: Hint.PNL_FITS_NET_CONSIDERATION_SIDED,
    Basis.CASH_FLOW: Hint.PNL_FITS_CASH_FLOW,
    Basis.GROSS: Hint.PNL_FITS_GROSS,
    Basis.REALIZED: Hint.PNL_FITS_REALIZED,
    Basis.MARK_TO_MARKET: Hint.PNL_FITS_MARK_TO_MARKET,
}


def sent_hints(sides: Sides) -> list[Hint]:
    """Hints from the effective legs one by one: how they were written, whether versions are missing."""
    hints = [Hint.VERSION_GAP] if sides.version_gap else []
    for leg in (sides.execution, sides.confirmation, sides.pnl):
        if leg is not None:
            hints.extend(leg.hints)
            if leg.version == ALL_VERSIONS:
                hints.append(Hint.CANCEL_UNVERSIONED)
    return hints


def pair_hints(execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> list[Hint]:
    """Hints from comparing the legs, whether they agree or not; a day is a UTC day."""
    hints = []
    ours_ns, theirs_ns = execution.timestamp_ns, confirmation.timestamp_ns
    if ours_ns is not None and theirs_ns is not None and theirs_ns != ours_ns:
        if theirs_ns < ours_ns:
            hints.append(_EARLY)
        if ours_ns // NS_PER_DAY != theirs_ns // NS_PER_DAY:
            hints.append(Hint.TRADE_DATE_ROLL)
    if pnl is not None and currencies_differ(execution, pnl):
        hints.append(Hint.FX_RATE_UNAVAILABLE)
    return hints


def failure_hints(failed: Sequence[Reason], sides: Sides, rules: Rules) -> Iterator[Hint]:
    """Likely causes of the failed checks of a pair; ``failed`` are their reasons."""
    execution, confirmation, pnl = sides.execution, sides.confirmation, sides.pnl
    if execution is None or confirmation is None:
        return
    if Reason.TICKER_MISMATCH in failed:
        yield from _ticker_hints(execution.ticker, confirmation.ticker)
    if Reason.QUANTITY_MISMATCH in failed and _float_noise(execution.quantity, confirmation.quantity):
        yield Hint.LOOKS_LIKE_FLOAT_NOISE
    if Reason.PRICE_MISMATCH in failed and _float_noise(execution.price, confirmation.price):
        yield Hint.LOOKS_LIKE_FLOAT_NOISE
    if Reason.PNL_INCONSISTENT in failed and pnl is not None:
        rule = next(rule for rule in rules.checks if isinstance(rule, Pnl))
        if rule.basis not in _NOT_NET_MONEY and _basis_suspect(execution, pnl):
            yield Hint.PNL_BASIS_SUSPECT
        if _follows(rule, (confirmation, confirmation), pnl, sides):
            yield Hint.PNL_FITS_CONFIRMATION
        for basis, hint in _BASES.items():
            meant = msgspec.structs.replace(rule, basis=basis)
            if basis is not rule.basis and all(
                _follows(meant, pair, pnl, sides) for pair in rule.leg_pairs(execution, confirmation)
            ):
                yield hint


def tolerance_covers(check: Check) -> bool:
    """Whether two prices agree by a tolerance that is at least the smaller of them."""
    operands = (check.execution, check.confirmation, check.tolerance)
    ours, theirs, tolerance = [operand for operand in operands if isinstance(operand, Decimal)]
    return tolerance >= ours.copy_abs() or tolerance >= theirs.copy_abs()


def _ticker_hints(ours: str | None, theirs: str | None) -> Iterator[Hint]:
    if ours is None or theirs is None:
        return
    if ours.casefold() == theirs.casefold():
        yield Hint.TICKER_CASE
    elif confusable(ours, theirs):
        yield Hint.CONFUSABLE


def _float_noise(ours: Decimal | None, theirs: Decimal | None) -> bool:
    """Whether the amounts differ only in a double's last digits, and one has as many digits as a double."""
    if ours is None or theirs is None:
        return False
    step = EXACT.multiply(max(ours.copy_abs(), theirs.copy_abs()), _DOUBLE_STEP)
    if EXACT.subtract(ours, theirs).copy_abs() > step:
        return False
    return max(len(ours.as_tuple().digits), len(theirs.as_tuple().digits)) >= _DOUBLE_DIGITS


def _basis_suspect(execution: Execution, pnl: PnlSnapshot) -> bool:
    """Whether pnl_impact may not be net money: off by more than half the notional, and itself below a tenth of it.

    Source: DOMAIN.md 4.2 (b).
    """
    price, quantity = execution.price, execution.quantity
    if price is None or quantity is None or pnl.pnl_impact is None or pnl.commission is None:
        return False
    amount = notional(price, quantity)
    expected = net_consideration(price, quantity, pnl.commission)
    difference = EXACT.subtract(expected, pnl.pnl_impact).copy_abs()
    return difference > EXACT.multiply(amount, _HALF) and pnl.pnl_impact.copy_abs() < EXACT.multiply(amount, _TENTH)


def _follows(rule: Pnl, legs: tuple[Side, Side], pnl: PnlSnapshot, sides: Sides) -> bool:
    """Whether the snapshot follows from these legs by this rule: perhaps they, or its basis, were meant.

    Source: DOMAIN.md 4.2 (b), (e).
    """
    return not rule.contested_operands(*legs, pnl, sides.contested) and rule.fits(*legs, pnl)
