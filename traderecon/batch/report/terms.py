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
    Attribute,
    AttributeName,
    AttributeRule,
    Base,
    Basis,
    Bound,
    Capped,
    Commission,
    CommissionSign,
    OperandSource,
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

_OVERRIDDEN = "In place of the above; the most specific override applies."
_BASES = {
    Base.EXECUTION: "of the execution's amount",
    Base.CONFIRMATION: "of the confirmation's amount",
    Base.LARGER: "of the larger amount",
}


_WHOSE = {
    OperandSource.EXECUTION: "the execution",
    OperandSource.CONFIRMATION: "the confirmation",
    OperandSource.BOTH: "each side in turn (the worse result counts)",
}
_PNL_BASES = {
    Basis.NET_CONSIDERATION: "net money, price * quantity - commission",
    Basis.NET_CONSIDERATION_SIDED: "a seller's proceeds less commission, or a buyer's cost with it",
    Basis.CASH_FLOW: "the cash that came in (a sale) or went out (a purchase, negative), commission included",
    Basis.GROSS: "price * quantity",
    Basis.REALIZED: "what closing the position at open_price gained, less commission",
    Basis.MARK_TO_MARKET: "what the position gained at mark_price, less commission",
}


def basis_in_words(rule: Pnl) -> str:
    """What the pnl check expects, and whose amounts it computes with, in words."""
    names = rule.formula.names
    sources = {"price": rule.price_source, "quantity": rule.quantity_source}
    read = [f"the {name} of {_WHOSE[source]}" for name, source in sources.items() if name in names]
    if rule.multiplier_field is not None and "quantity" in names:
        read.append(f"times its {rule.multiplier_field}")
    if rule.expression and "sign" in names:
        read.append("sign 1 for a sale and -1 for a purchase")
    if "commission" in names:
        negative = " (negative where it was paid)" if rule.commission_sign is CommissionSign.CASH_FLOW else ""
        read.append(f"the commission of the snapshot{negative}")
    basis = rule.expression or _PNL_BASES[rule.basis]
    return f"{basis}, with {', '.join(read)}" if read else basis


class Term(msgspec.Struct, frozen=True):
    """One check: its name, what it requires, the allowed difference, and the reason it gives if it fails."""

    name: str
    requires: str
    allowed: str
    reason: Reason
    is_override: bool = False


def terms(rules: Rules) -> list[Term]:
    """The checks in the rules' order, then the attributes, then the overrides in the order of the file."""
    return [
        *[Term(rule.name, _requirement(rule), _allowed(rule), rule.reason) for rule in rules.every],
        *[
            Term(
                f"{rule.name}: {override.describe()}",
                f"{_requirement(rule)} {_OVERRIDDEN}" if isinstance(rule, Pnl) else _OVERRIDDEN,
                _allowed(rule),
                rule.reason,
                is_override=True,
            )
            for override in rules.overrides or ()
            for rule in override.checks
        ],
    ]


def disabled_checks(rules: Rules) -> list[str]:
    """The founding checks that these rules leave out."""
    return sorted({rule.name for rule in FOUNDING.every} - {rule.name for rule in rules.every})


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
            return f"pnl_impact is {basis_in_words(rule)}."
        case Attribute(attribute=AttributeName.SIDE):
            return f"Both sides bought, or both sold; {_presence(rule)}."
        case Attribute():
            return f"Both sides have the same {_spoken(rule)}; {_presence(rule)}."
        case Commission():
            return f"Both sides have the same commission, compared by value; {_presence(rule)}."
        case _:
            assert_never(rule)


def _presence(rule: AttributeRule) -> str:
    return "a side that sends none fails" if rule.must_be_present else "checked where both sent it"


def _spoken(rule: Attribute) -> str:
    return rule.name.replace("_", " ")


def _allowed(rule: Rule) -> str:
    match rule:
        case Ticker() | Attribute():
            return "nothing"
        case Timestamp():
            limit = _limit_text(f"{milliseconds(rule.tolerance_ns)} ms", rule.bound)
            return f"{limit} ({rule.profile})" if rule.profile else limit
        case Quantity() | Price() | Pnl() | Commission():
            return _tolerance_text(rule.tolerance)
        case _:
            assert_never(rule)


def _tolerance_text(tolerance: Tolerance) -> str:
    if isinstance(tolerance, Absolute):
        return _limit_text(exact(tolerance.amount), tolerance.bound) if tolerance.amount else "nothing"
    if isinstance(tolerance, Relative):
        percent = EXACT.scaleb(tolerance.share, 2)
        cap = f" but no more than {exact(tolerance.at_most)}" if isinstance(tolerance, Capped) else ""
        return _limit_text(f"{exact(percent)} % {_BASES[tolerance.base]}{cap}", tolerance.bound)
    band = f"the confirmation from {exact(tolerance.below)} below to {exact(tolerance.above)} above"
    return f"{band}, {tolerance.bound}"


def _limit_text(amount: str, bound: Bound) -> str:
    return f"up to {amount}, inclusive" if bound is Bound.INCLUSIVE else f"less than {amount}, strict"
