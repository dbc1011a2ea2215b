"""A result's JSON laid out for display: both sides of each check side by side, with the differences marked.

    result (JSON) -> Evidence(comparisons, legs, ..., unreadable)

Pure: depends only on the result. Of a result that another program wrote, and the sink accepted, what can be read; the
rest is in ``unreadable``.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from traderecon.present.labels import agreement, remedy_text
from traderecon.present.operands import OperandText, common_prefix_length, decimal_places, padding, split_operand
from traderecon.present.trade_row import join_values
from traderecon.records import Operand, Outcome, Source
from traderecon.records.leg_message import LegMessage, ReadPayload
from traderecon.records.legs import ATTRIBUTES, NAMES
from traderecon.records.result_message import COMBINED, CheckMessage, CombinedMessage, decode_result
from traderecon.records.results import RulesStamp

_TERMS = ("ticker", "quantity", "price", "timestamp")
_AMOUNTS = {"quantity", "price", "pnl", "commission"}
_FIRST_FIELDS = ("version", "kind", *_TERMS, "pnl_impact", "commission", *ATTRIBUTES)
_FIELDS = {"pnl": "pnl_impact"}
_AMOUNT = re.compile(r"-?\d{1,60}(\.\d{1,60})?", re.ASCII)
"""An amount that is computed with here; a foreign result may have anything else, which is shown as it is."""


Leg = LegMessage[ReadPayload]


class Comparison(msgspec.Struct, frozen=True):
    """One check laid out: both operands and the outcome. Operands of the pnl check: expected and booked amount.

    ``contested`` names the operands that were sent with several values.
    """

    name: str
    reason: str
    outcome: str
    execution: OperandText | None
    confirmation: OperandText | None
    difference: str
    pad: str
    tolerance: str
    note: str
    contested: tuple[str, ...]


class Evidence(msgspec.Struct, frozen=True):
    """One result laid out; ``legs`` are all legs ever sent, by source.

    ``agreement`` is empty where it is unknown. ``would_clear``: each change that would clear a break by itself, in
    words. ``combined``: what the legs of a group add up to. ``unreadable``: the parts of a foreign result that are not
    shown, and why; ``rules`` may then be None.
    """

    event_id: str
    version: int
    state: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    legs: Mapping[Source, tuple[Leg, ...]]
    rules: RulesStamp | None
    contested: frozenset[str]
    agreement: str
    would_clear: tuple[str, ...] = ()
    combined: Mapping[Source, CombinedMessage] = {}
    unreadable: tuple[str, ...] = ()

    def contradicts(self, source: Source) -> bool:
        """Whether the effective legs of a source contradict each other in a field that a check reads."""
        return any(name.startswith(f"{source}.") for name in self.contested)


def evidence(result: str) -> Evidence:
    """Lay out one result."""
    try:
        message = decode_result(result)
    except (msgspec.MsgspecError, RecursionError):
        return _foreign_evidence(result)
    legs = {source: tuple(message.legs.get(source, ())) for source in Source}
    contested = frozenset(message.contested or ())
    return Evidence(
        message.event_id,
        message.version,
        message.state,
        message.reasons,
        message.hints,
        tuple(_comparison(check, legs, contested, message.combined or {}) for check in message.checks),
        legs,
        message.rules,
        contested,
        "" if message.compared is msgspec.UNSET else agreement(message.compared),
        tuple([remedy_text(remedy) for remedy in message.would_clear or ()]),
        message.combined or {},
    )


class _Reader:
    """Reads the members of a foreign result one by one, and notes what cannot be read."""

    def __init__(self, result: str) -> None:
        self.unreadable: list[str] = []
        self.members = self.read("the result", dict[str, msgspec.Raw], result, {})

    def read(self, name: str, wanted: Any, raw: msgspec.Raw | str, otherwise: Any) -> Any:
        """The value; if it is not of this type, ``otherwise``."""
        try:
            return msgspec.json.decode(raw, type=wanted)
        except (msgspec.MsgspecError, RecursionError) as error:
            self.unreadable.append(f"{name}: {error}")
            return otherwise

    def member(self, name: str, wanted: Any, otherwise: Any) -> Any:
        """A member of the result."""
        if name not in self.members:
            self.unreadable.append(f"{name}: missing")
            return otherwise
        return self.read(name, wanted, self.members[name], otherwise)

    def elements(self, name: str, wanted: Any, raw: msgspec.Raw | None = None) -> tuple[Any, ...]:
        """The elements of a list that can be read."""
        rows: list[msgspec.Raw]
        rows = self.member(name, list[msgspec.Raw], []) if raw is None else self.read(name, list[msgspec.Raw], raw, [])
        found = (self.read(f"{name}[{index}]", wanted, element, None) for index, element in enumerate(rows))
        return tuple([element for element in found if element is not None])


def _foreign_evidence(result: str) -> Evidence:
    reader = _Reader(result)
    by_source: dict[str, msgspec.Raw] = reader.member("legs", dict[str, msgspec.Raw], {})
    legs = {
        source: reader.elements(f"legs.{source}", LegMessage[ReadPayload], by_source[source])
        if source in by_source
        else ()
        for source in Source
    }
    reader.unreadable += [f"legs.{source}: an unknown source" for source in sorted(by_source.keys() - set(Source))]
    named = reader.elements("contested", str) if "contested" in reader.members else ()
    contested = frozenset(named)
    checks = reader.elements("checks", CheckMessage)
    return Evidence(
        reader.member("event_id", str, ""),
        reader.member("version", int, 0),
        reader.member("state", str, ""),
        reader.member("reasons", tuple[str, ...], ()),
        reader.member("hints", tuple[str, ...], ()),
        tuple(_comparison(check, legs, contested, {}) for check in checks),
        legs,
        reader.member("rules", RulesStamp, None),
        contested,
        "",
        unreadable=tuple(reader.unreadable),
    )


def other_fields(leg: Leg) -> list[tuple[str, str]]:
    """Every field of a leg except its trade_id, as text, terms first."""
    names = sorted(
        leg.payload,
        key=lambda name: _FIRST_FIELDS.index(name) if name in _FIRST_FIELDS else len(_FIRST_FIELDS),
    )
    return [(name, _text(leg.payload[name])) for name in names if name != "trade_id"]


def totals(combined: CombinedMessage) -> list[tuple[str, str]]:
    """What the records of a group add up to, name by name."""
    return [(name, text) for name in COMBINED if (text := getattr(combined, name)) is not None]


def _comparison(
    check: CheckMessage,
    legs: Mapping[Source, tuple[Leg, ...]],
    contested: frozenset[str],
    combined: Mapping[Source, CombinedMessage],
) -> Comparison:
    """The operands of the check; if it compared nothing, what a group adds up to, or the values of effective legs."""
    amounts = check.name in _AMOUNTS
    partner = Source.PNL if check.name == "pnl" else Source.CONFIRMATIONS
    field = _FIELDS.get(check.name, check.name)
    if check.outcome == Outcome.NOT_CHECKED:
        values = [
            _effective_value(legs, source, field, amount=amounts)
            if (total := getattr(combined.get(source), field, None)) is None
            else _operand(total, amount=amounts)
            for source in (Source.EXECUTIONS, partner)
        ]
        sides = (values[0], values[1])
    else:
        sides = _operand(check.execution, amount=amounts), _operand(check.confirmation, amount=amounts)
    decimals = decimal_places(*sides)
    common = common_prefix_length(*sides) if check.outcome == Outcome.FAIL else None
    unit = " ms" if check.name == "timestamp" else ""
    difference = f"{check.difference}{unit}" if check.difference else ""
    return Comparison(
        check.name,
        check.reason,
        check.outcome,
        split_operand(sides[0], common, decimals),
        split_operand(sides[1], common, decimals),
        difference,
        padding(check.difference, decimals) if check.difference and amounts else "",
        f"{check.tolerance}{unit}" if check.tolerance else "",
        check.note,
        tuple(
            side
            for side, source in (("execution", Source.EXECUTIONS), ("confirmation", partner))
            if f"{source}.{field}" in contested
        ),
    )


def _effective_value(legs: Mapping[Source, tuple[Leg, ...]], source: Source, field: str, *, amount: bool) -> Operand:
    """The value of a field in the effective legs of a source; None if the source does not have the field."""
    if field not in NAMES[source]:
        return None
    texts = {_text(raw) for leg in legs[source] if leg.stands and (raw := leg.payload.get(field)) is not None}
    return join_values(texts) if len(texts) > 1 else _operand(next(iter(texts), None), amount=amount)


def _operand(text: str | None, *, amount: bool) -> Operand:
    return Decimal(text) if text is not None and amount and _AMOUNT.fullmatch(text) else text


def _text(raw: msgspec.Raw) -> str:
    plain = bytes(raw)
    return str(msgspec.json.decode(plain)) if plain.startswith(b'"') else plain.decode()
