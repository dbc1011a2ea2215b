"""A break laid out for a reader: the values of both sides, one above the other, and their differences."""

from decimal import Decimal

import msgspec

from traderecon.batch.summary import Break
from traderecon.matching import Sides
from traderecon.matching.in_force import rules_of
from traderecon.present.figures import amount, exact
from traderecon.present.labels import remedy_text
from traderecon.present.operands import (
    OperandText,
    common_prefix_length,
    decimal_places,
    hidden_codes,
    padding,
    split_operand,
)
from traderecon.present.trade_row import join_values, values_of
from traderecon.records import (
    ALL_VERSIONS,
    CONTENT,
    Check,
    Confirmation,
    Execution,
    Hint,
    Kind,
    Operand,
    Outcome,
    Reason,
    Severity,
    Source,
    Stake,
)
from traderecon.records.instants import iso, milliseconds
from traderecon.records.result_message import operand_text, remedy_message
from traderecon.rules import Basis, Bound, Rules, bound_of

TERMS = ("ticker", "quantity", "price", "timestamp")
"""Shown whether the rules check them or not."""

_BASES = {basis.value for basis in Basis}
"""The notes of pnl checks that say nothing which the section about the check does not."""
_FIELDS = {"timestamp": "timestamp_ns", "pnl": "pnl_impact"}
_ABOUT = (
    *("side", "currency", "account", "broker", "counterparty", "order_id"),
    *("commission", "trade_date", "settlement_date"),
)


class ComparedTerm(msgspec.Struct, frozen=True):
    """One term of a trade: the value of each side, and the result of its check; ``outcome`` None if it is off.

    ``contested``: the sides that sent different values in rows of the same version.
    """

    name: str
    execution: OperandText | None
    confirmation: OperandText | None
    contested: tuple[str, ...]
    outcome: Outcome | None
    difference: str
    pad: str
    allowed: str
    note: str


class BreakLayout(msgspec.Struct, frozen=True):
    """One break.

    ``hidden``: the invisible characters of the trade_id, such as direction marks, spelled out. ``about``: the other
    details of the legs, if they agree; ``execution``, ``confirmation``: the details of one leg, empty if there are none
    and None if the leg is missing.
    """

    trade_id: str
    hidden: str
    state: str
    severity: Severity
    reasons: tuple[Reason, ...]
    hints: tuple[Hint, ...]
    event_time: str
    stake: str
    would_clear: tuple[str, ...]
    about: str
    execution: str | None
    confirmation: str | None
    compared: tuple[ComparedTerm, ...]


def columns(rules: Rules) -> tuple[str, ...]:
    """The terms, and everything else that the rules check."""
    return tuple(dict.fromkeys((*TERMS, *(rule.name for rule in rules.checks))))


def lay_out(break_: Break, rules: Rules) -> BreakLayout:
    """Lay out one break under the rules that judged it."""
    sides = break_.sides
    checks = {check.name: check for check in break_.verdict.checks}
    if sides.execution is not None and sides.confirmation is not None:
        rules = rules_of(rules, sides.execution, sides.confirmation, sides.contested).rules
    bounds = {rule.name: bound_of(rule) for rule in rules.every}
    event_time_ns = sides.event_time_ns
    details = {leg.source: _details(leg) for leg in (sides.execution, sides.confirmation) if leg}
    common = next(iter(details.values())) if len(set(details.values())) == 1 else ()
    return BreakLayout(
        trade_id=break_.trade_id,
        hidden=hidden_codes(break_.trade_id),
        state=break_.verdict.state,
        severity=break_.assessment.severity,
        reasons=break_.verdict.reasons,
        hints=break_.verdict.hints,
        event_time="" if event_time_ns is None else iso(event_time_ns),
        stake=_stake(break_.assessment.stake),
        would_clear=tuple([remedy_text(remedy_message(remedy)) for remedy in break_.assessment.would_clear]),
        about=", ".join(common),
        execution=_own_details(sides, sides.execution, common),
        confirmation=_own_details(sides, sides.confirmation, common),
        compared=tuple(_compare(name, break_, checks.get(name), bounds.get(name)) for name in columns(rules)),
    )


def _stake(stake: Stake) -> str:
    """The money at stake with its currency; "unknown" where the legs do not say."""
    if stake.amount is None:
        return "unknown"
    return f"{amount(stake.amount)} {stake.currency}" if stake.currency else amount(stake.amount)


def _details(leg: Execution | Confirmation) -> tuple[str, ...]:
    return tuple(_detail(name, value) for name in _ABOUT if (value := getattr(leg, name)) is not None)


def _detail(name: str, value: str | Decimal) -> str:
    """An attribute in words; a bare amount or date says what it is."""
    if name in {"commission", "trade_date", "settlement_date"}:
        return f"{name.replace('_', ' ')} {operand_text(value)}"
    return operand_text(value)


def _own_details(sides: Sides, leg: Execution | Confirmation | None, common: tuple[str, ...]) -> str | None:
    """The details that both legs do not share; version and kind only if they are unusual."""
    if leg is None:
        return None
    members = [f"{len(sides.effective(leg.source))} records, added up"] if leg in sides.combined else []
    kind = [leg.kind.value] if leg.kind is not Kind.NEW else []
    version = [f"version {leg.version}"] if leg.version not in {1, ALL_VERSIONS} else []
    details = _details(leg)
    return ", ".join((*members, *kind, *version, *(() if details == common else details)))


def _compare(name: str, break_: Break, check: Check | None, bound: Bound | None) -> ComparedTerm:
    """The operands of the check; if it compared nothing, the values of the legs."""
    sides, field = break_.sides, _FIELDS.get(name, name)
    source = Source.PNL if name == "pnl" else Source.CONFIRMATIONS
    ours, theirs = _operand(sides, Source.EXECUTIONS, field), _operand(sides, source, field)
    difference, note, outcome = "", "", check.outcome if check else None
    if check and outcome is Outcome.NOT_CHECKED:
        note = check.note
    elif check:
        ours, theirs = check.execution, check.confirmation
        difference = _distance(check.difference) if check.difference else ""
        note = check.note if difference and check.note not in _BASES else ""
    decimals = decimal_places(ours, theirs)
    same = common_prefix_length(ours, theirs) if outcome is Outcome.FAIL else None
    return ComparedTerm(
        name,
        split_operand(ours, same, decimals),
        split_operand(theirs, same, decimals),
        tuple(
            side
            for side, side_source in (("execution", Source.EXECUTIONS), ("confirmation", source))
            if (side_source, field) in sides.contested
        ),
        outcome,
        difference,
        padding(difference, decimals) if difference else "",
        _allowed(check, bound) if difference else "",
        note,
    )


def _operand(sides: Sides, source: Source, field: str) -> Operand:
    """The value of a side, or the sum of a group; if there are several, all of them."""
    values = values_of(sides, source, field) if sides.effective(source) and field in CONTENT[source] else []
    if len(values) > 1:
        return join_values(map(operand_text, values))
    return values[0] if values else None


def _distance(difference: Decimal | int) -> str:
    return exact(difference) if isinstance(difference, Decimal) else f"{milliseconds(difference)} ms"


def _allowed(check: Check | None, bound: Bound | None) -> str:
    """The limit; its sign shows whether a difference of exactly the limit agrees."""
    if check is None or bound is None or check.tolerance is None:
        return ""
    tolerance = check.tolerance
    if not tolerance:
        return "none allowed"
    text = exact(tolerance) if isinstance(tolerance, Decimal) else f"{milliseconds(tolerance)} ms"
    return f"allowed {'≤' if bound is Bound.INCLUSIVE else '<'} {text}"
