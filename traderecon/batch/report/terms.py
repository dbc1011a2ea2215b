"""Terms: what each rule requires, in a sentence, with its tolerance."""

from typing import assert_never

import msgspec

from traderecon.present.figures import exact
from traderecon.records import Reason
from traderecon.records.instants import milliseconds
from traderecon.records.numbers import EXACT
from traderecon.rules import (
    FOUNDING,
    Absolute,
    Base,
    Bound,
    Pnl,
    Precision,
    Price,
    Quantity,
    Relative,
    Rule,
    Rules,
    Ticker,
    Timestamp,
    Tolerance,
)

_BASES = {
    Base.EXECUTION: "of the execution's amount",
    Base.CONFIRMATION: "of the confirmation's amount",
    Base.LARGER: "of the larger amount",
}


class Term(msgspec.Struct, frozen=True):
    """One check: its name, what it requires, the allowed difference, and the reason it gives if it fails."""

    name: str
    requires: str
    allowed: str
    reason: Reason


def terms(rules: Rules) -> list[Term]:
    """The checks in the rules' order."""
    return [Term(rule.name, _requirement(rule), _allowed(rule), rule.reason) for rule in rules.checks]


def disabled_checks(rules: Rules) -> list[str]:
    """The founding checks that these rules leave out."""
    return sorted({rule.name for rule in FOUNDING.checks} - {rule.name for rule in rules.checks})


def bound_of(rule: Rule) -> Bound | None:
    """Whether a difference of exactly the limit agrees; None if no tolerance applies."""
    if isinstance(rule, Ticker):
        return None
    return rule.bound if isinstance(rule, Timestamp) else rule.tolerance.bound


def _requirement(rule: Rule) -> str:
    match rule:
        case Ticker():
            return "Both sides have the same ticker, character for character."
        case Quantity():
            return "Both sides have the same quantity, compared by value: 100, 100.0 and 1E2 are equal."
        case Price():
            return "Both sides have the same price, compared by value."
        case Timestamp(precision=Precision.EXACT):
            return "Both sides have the same time, whichever is first. A time without a fraction is a full second."
        case Timestamp():
            return "Both sides have the same time. A time without a fraction is any moment of its second."
        case Pnl():
            return "pnl_impact is the net money of the execution: see “The pnl check”."
        case _:
            assert_never(rule)


def _allowed(rule: Rule) -> str:
    match rule:
        case Ticker():
            return "nothing"
        case Timestamp():
            return _limit_text(f"{milliseconds(rule.tolerance_ns)} ms", rule.bound)
        case Quantity() | Price() | Pnl():
            return _tolerance_text(rule.tolerance)
        case _:
            assert_never(rule)


def _tolerance_text(tolerance: Tolerance) -> str:
    if isinstance(tolerance, Absolute):
        return _limit_text(exact(tolerance.amount), tolerance.bound) if tolerance.amount else "nothing"
    if isinstance(tolerance, Relative):
        percent = EXACT.scaleb(tolerance.share, 2)
        return _limit_text(f"{exact(percent)} % {_BASES[tolerance.base]}", tolerance.bound)
    band = f"the confirmation from {exact(tolerance.below)} below to {exact(tolerance.above)} above"
    return f"{band}, {tolerance.bound}"


def _limit_text(amount: str, bound: Bound) -> str:
    return f"up to {amount}, inclusive" if bound is Bound.INCLUSIVE else f"less than {amount}, strict"
