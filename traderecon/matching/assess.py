"""What a break is about: the money at stake, its severity, and each single change that would clear it.

    sides, verdict, rules  ->  assess  ->  Assessment; None for a trade that is not a break

Pure and exact. Computed for breaks alone, so a trade that agrees pays nothing for it.
Source: DOMAIN.md, decisions (Stake and severity); 8.1 (Counterfactual explanation).
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import reduce

import msgspec

from traderecon.matching.in_force import rules_of
from traderecon.matching.sides import Sides, amount_of, distinct_values
from traderecon.records import (
    Assessment,
    Check,
    Confirmation,
    Execution,
    Kind,
    Operand,
    Outcome,
    PnlSnapshot,
    Reason,
    Remedy,
    Source,
    Stake,
    Verdict,
)
from traderecon.records.currencies import currency_code
from traderecon.records.numbers import EXACT, ZERO, canonical, notional
from traderecon.rules import Bound, Pnl, Rule, Rules, bound_of
from traderecon.rules.severity import urgency

Side = Execution | Confirmation

_FAIL = Outcome.FAIL
_CONTESTED_AMOUNTS = {"quantity", "price", "ticker", "side", "currency", "contract_multiplier"}
_WHOLE = frozenset(
    {
        Reason.MISSING_CONFIRMATION,
        Reason.MISSING_EXECUTION,
        Reason.CANCELLED_ONE_SIDE,
        Reason.CANCEL_UNKNOWN_TRADE,
        Reason.KEY_AMBIGUOUS,
        Reason.MULTIPLE_CONFIRMATIONS,
        Reason.ORPHAN_LATE,
        Reason.TICKER_MISMATCH,
        Reason.SIDE_MISMATCH,
        Reason.CURRENCY_MISMATCH,
    }
)
"""With one of these the whole trade is at stake.

A side is missing, states another trade, was confirmed twice, or may be cancelled.
"""


def assess(sides: Sides, verdict: Verdict, rules: Rules) -> Assessment | None:
    """The assessment of a break; None for any other verdict."""
    if not verdict.state.is_break:
        return None
    stake = stake_of(sides, verdict)
    severity, escalation = urgency(rules.severity, verdict.reasons, stake)
    calendar = rules.calendar.from_time(sides.waits_from_ns) if escalation and rules.calendar else None
    return Assessment(stake, severity, tuple(remedies(sides, verdict, rules)), escalation, calendar)


def stake_of(sides: Sides, verdict: Verdict) -> Stake:
    """The money that a break is about.

    One side alone, or another instrument, direction or currency: the notional of the execution, else of the
    confirmation. If a side contradicts itself: the largest of its notionals. A pair: |price difference| * quantity of
    the execution + |quantity difference| * |price| of the confirmation, and a commission's difference; or the
    difference of the pnl check where that is larger, since one cause often shows in both. A difference that a tolerance
    allows counts too, in a trade that breaks.
    """
    ours, theirs = sides.execution, sides.confirmation
    contradicting = {source for source, field in sides.contested if field in _CONTESTED_AMOUNTS} - {Source.PNL}
    if contradicting:
        return _largest(sides, [leg for leg in (ours, theirs) if leg is not None and leg.source in contradicting])
    if ours is None or theirs is None or not _WHOLE.isdisjoint(verdict.reasons):
        return _whole(sides)
    differences = {check.name: check.difference for check in verdict.checks if check.outcome is _FAIL}
    if ours.price is None or theirs.price is None or ours.quantity is None or theirs.quantity is None:
        terms = None
    else:
        price_part = notional(EXACT.subtract(ours.price, theirs.price), ours.quantity)
        quantity_part = notional(theirs.price, EXACT.subtract(ours.quantity, theirs.quantity))
        terms = EXACT.multiply(EXACT.add(price_part, quantity_part), _multiplier(ours, theirs))
    parts = [amount for name in ("pnl", "commission") if isinstance(amount := differences.get(name), Decimal)]
    if terms is not None:
        commission = differences.get("commission")
        parts.append(EXACT.add(terms, commission if isinstance(commission, Decimal) else ZERO))
    return Stake(canonical(max(parts)) if parts else None, _currency(sides))


def remedies(sides: Sides, verdict: Verdict, rules: Rules) -> Iterator[Remedy]:
    """Each single change that would leave the trade without a reason; none where it takes more than one.

    A tolerance, if only its check fails. The value of the other side in one field, or the expected pnl_impact, if every
    check that fails then passes, and none of those that read the field fails instead.
    """
    execution, confirmation, pnl = sides.execution, sides.confirmation, sides.pnl
    failed = [check for check in verdict.checks if check.outcome is _FAIL]
    if execution is None or confirmation is None or len(failed) != len(verdict.reasons) or not failed:
        return  # a side is missing, or something else than a check is the reason
    in_force = rules_of(rules, execution, confirmation, sides.contested | sides.differing).rules
    by_name = {rule.name: rule for rule in in_force.every}
    if sides.grouped and "quantity" in {check.name for check in failed}:
        return  # what the missing member says of the rest is unknown
    if len(failed) == 1:
        yield from _tolerance(failed[0], by_name[failed[0].name])
    if sides.grouped:
        return  # no single record has the sum or the average
    names = {check.name for check in failed}
    for source, field, value in _changes(failed, execution, confirmation):
        legs = _with(source, field, value, (execution, confirmation, pnl))
        then = rules_of(rules, legs[0], legs[1], sides.contested).rules if rules.overrides else in_force
        readers = [
            rule for rule in then.every if (source, field) in rule.operands or rule != by_name.get(rule.name, rule)
        ]
        if not names <= {rule.name for rule in readers}:
            continue
        if all(_agrees(rule.check(*legs), rules) for rule in readers):
            yield Remedy(failed[0].name, value, (source, field))


def _agrees(check: Check, rules: Rules) -> bool:
    """Whether a check leaves no reason: where the pnl is required it must be compared."""
    if check.outcome is Outcome.NOT_CHECKED:
        return not (rules.pnl_required and check.name == Pnl.name)
    return check.outcome is not _FAIL


def _tolerance(check: Check, rule: Rule) -> Iterator[Remedy]:
    """The smallest tolerance with which the check passes, if it is a check that has one."""
    if check.difference is not None:
        yield Remedy(check.name, check.difference, above=bound_of(rule) is Bound.STRICT)


def _changes(
    failed: list[Check], execution: Execution, confirmation: Confirmation
) -> Iterator[tuple[Source, str, Operand]]:
    """The changes to try: each side's own value of a field that differs, sent by the other; the expected pnl_impact."""
    for check in failed:
        if check.name == Pnl.name:
            if isinstance(check.execution, Decimal):
                yield Source.PNL, "pnl_impact", check.execution
            continue
        field = "timestamp_ns" if check.name == "timestamp" else check.name
        ours, theirs = getattr(execution, field), getattr(confirmation, field)
        if theirs is not None:
            yield Source.EXECUTIONS, field, theirs
        if ours is not None:
            yield Source.CONFIRMATIONS, field, ours


def _with(
    source: Source, field: str, value: Operand, legs: tuple[Execution, Confirmation, PnlSnapshot | None]
) -> tuple[Execution, Confirmation, PnlSnapshot | None]:
    """The legs with one field of one of them changed."""
    execution, confirmation, pnl = legs
    change = {field: value}
    if source is Source.EXECUTIONS:
        return msgspec.structs.replace(execution, **change), confirmation, pnl
    if source is Source.CONFIRMATIONS:
        return execution, msgspec.structs.replace(confirmation, **change), pnl
    return execution, confirmation, None if pnl is None else msgspec.structs.replace(pnl, **change)


def _whole(sides: Sides) -> Stake:
    """The notional of the execution, else of the confirmation, unless it is cancelled; of several the largest."""
    for leg in (sides.execution, sides.confirmation):
        if leg is None or (leg.kind is Kind.CANCEL and sides.execution is not None and sides.confirmation is not None):
            continue
        stake = _largest(sides, [leg])
        if stake.amount is not None:
            return stake
    return Stake(None, _currency(sides))


def _largest(sides: Sides, legs: Sequence[Side]) -> Stake:
    """The largest notional that these effective legs may have, by what they were made of."""
    amounts = [(reading.copy_abs(), leg.source) for leg in legs for reading in _readings(sides, leg)]
    if not amounts:
        return Stake(None, _currency(sides))
    amount, source = max(amounts, key=lambda amount: amount[0])
    return Stake(canonical(amount), _currency(sides, source))


def _readings(sides: Sides, leg: Side) -> Iterator[Decimal]:
    """What a side may trade for: as one leg; and with the highest, or the lowest, of what each member says."""
    whole = sides.amount(leg)
    if whole is not None:
        yield EXACT.multiply(whole, _multiplier(leg, leg))
    by_member: dict[str | None, list[Decimal]] = {}
    for record in sides.effective(leg.source):
        if not isinstance(record, PnlSnapshot) and (amount := amount_of(record)) is not None:
            by_member.setdefault(record.member_id, []).append(EXACT.multiply(amount, _multiplier(record, leg)))
    if by_member:
        yield reduce(EXACT.add, map(max, by_member.values()))
        yield reduce(EXACT.add, map(min, by_member.values()))


def _multiplier(leg: Side, other: Side) -> Decimal:
    """Units per contract: the multiplier of the first leg, else of the other; 1 by default."""
    return leg.contract_multiplier or other.contract_multiplier or Decimal(1)


def _currency(sides: Sides, first: Source = Source.EXECUTIONS) -> str | None:
    """The currency of one side, else of the other; None if neither sent one, or it contradicts itself."""
    other = Source.CONFIRMATIONS if first is Source.EXECUTIONS else Source.EXECUTIONS
    for source in (first, other):
        sent = distinct_values(sides.effective(source), "currency")
        if sent:
            return currency_code(sent[0]) if len(sent) == 1 else None
    return None
