"""Evidence: a result's JSON as a person reads it. What each side said side by side, and where they part.

    result (JSON) -> Evidence(comparisons, legs, ...)

Pure: nothing but the result is looked at.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from traderecon.present.operands import Said, alike, padding, places, said
from traderecon.present.trade_row import together
from traderecon.records import Operand, Outcome, Reason, Source
from traderecon.records.legs import NAMES

_TERMS = ("ticker", "quantity", "price", "timestamp")
_AMOUNTS = {"quantity", "price", "pnl", "commission"}
_FIRST = ("version", "kind", *_TERMS, "pnl_impact", "commission")
_FIELDS = {"pnl": "pnl_impact"}


class Check(msgspec.Struct, frozen=True):
    """A check as it is sent: texts, None where nothing was compared."""

    name: str
    reason: str
    outcome: str
    execution: str | None
    confirmation: str | None
    difference: str | None
    tolerance: str | None
    note: str = ""


class Leg(msgspec.Struct, frozen=True):
    """A leg as it is sent, with where it lies; ``stands`` marks the version and kind per source that counts."""

    payload: dict[str, msgspec.Raw]
    topic: str
    partition: int
    offset: int
    received_at: str | None = None
    stands: bool = False

    def said(self, name: str) -> str | None:
        """One field as text; what was a number or a list is its JSON."""
        raw = self.payload.get(name)
        return None if raw is None else _text(raw)

    def rest(self) -> list[tuple[str, str]]:
        """Every field but trade_id, the terms first."""
        names = sorted(self.payload, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        return [(name, _text(self.payload[name])) for name in names if name != "trade_id"]


class Stamp(msgspec.Struct, frozen=True):
    """Which rules spoke."""

    name: str
    sha256: str


class _Told(msgspec.Struct, frozen=True):
    event_id: str
    trade_id: str
    version: int
    state: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    checks: tuple[Check, ...]
    legs: dict[Source, tuple[Leg, ...]]
    rules: Stamp
    event_time: str | None = None
    contested: frozenset[str] = frozenset()


class Comparison(msgspec.Struct, frozen=True):
    """One check laid out: both operands, and what they came to. Of the pnl check they are expected and booked.

    ``contested`` names the operands that were sent with two values.
    """

    name: str
    reason: str
    outcome: str
    execution: Said | None
    confirmation: Said | None
    difference: str
    pad: str
    tolerance: str
    note: str
    contested: tuple[str, ...]


class Evidence(msgspec.Struct, frozen=True):
    """One result, laid out; ``legs`` are all legs ever sent, by source."""

    event_id: str
    version: int
    state: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    legs: Mapping[Source, tuple[Leg, ...]]
    rules: Stamp
    contested: frozenset[str]

    def contradicts(self, source: Source) -> bool:
        """Whether the legs of a source that stand contradict each other in what a check reads."""
        return any(name.startswith(f"{source}.") for name in self.contested)


_told = msgspec.json.Decoder(_Told).decode


class _Reasons(msgspec.Struct, frozen=True):
    reasons: tuple[str, ...]


_why = msgspec.json.Decoder(_Reasons).decode


def reasons(result: str) -> tuple[str, ...]:
    """The reasons of a result, and nothing else of it."""
    return _why(result).reasons


def evidence(result: str) -> Evidence:
    """Lay out one result."""
    told = _told(result)
    legs = {source: told.legs.get(source, ()) for source in Source}
    return Evidence(
        told.event_id,
        told.version,
        told.state,
        told.reasons,
        told.hints,
        tuple(_compared(check, legs, told.contested) for check in told.checks),
        legs,
        told.rules,
        told.contested,
    )


def _compared(check: Check, legs: Mapping[Source, tuple[Leg, ...]], contested: frozenset[str]) -> Comparison:
    """The operands of the check; where it compared nothing, what the standing legs say."""
    amounts = check.name in _AMOUNTS
    partner = Source.PNL if check.reason == Reason.PNL_INCONSISTENT else Source.CONFIRMATIONS
    field = _FIELDS.get(check.name, check.name)
    if check.outcome == Outcome.NOT_CHECKED:
        sides = (
            _stated(legs, Source.EXECUTIONS, field, amount=amounts),
            _stated(legs, partner, field, amount=amounts),
        )
    else:
        sides = _operand(check.execution, amount=amounts), _operand(check.confirmation, amount=amounts)
    wide = places(*sides)
    same = alike(*sides) if check.outcome == Outcome.FAIL else None
    unit = " ms" if check.name == "timestamp" else ""
    difference = f"{check.difference}{unit}" if check.difference else ""
    return Comparison(
        check.name,
        check.reason,
        check.outcome,
        said(sides[0], same, wide),
        said(sides[1], same, wide),
        difference,
        padding(check.difference, wide) if check.difference and amounts else "",
        f"{check.tolerance}{unit}" if check.tolerance else "",
        check.note,
        tuple(
            side
            for side, source in (("execution", Source.EXECUTIONS), ("confirmation", partner))
            if f"{source}.{field}" in contested
        ),
    )


def _stated(legs: Mapping[Source, tuple[Leg, ...]], source: Source, field: str, *, amount: bool) -> Operand:
    """What the standing legs of a source say; nothing where the source has no such field of ours."""
    if field not in NAMES[source]:
        return None
    texts = {text for leg in legs[source] if leg.stands and (text := leg.said(field)) is not None}
    return together(texts) if len(texts) > 1 else _operand(next(iter(texts), None), amount=amount)


def _operand(text: str | None, *, amount: bool) -> Operand:
    return Decimal(text) if text is not None and amount else text


def _text(raw: msgspec.Raw) -> str:
    plain = bytes(raw)
    return str(msgspec.json.decode(plain)) if plain.startswith(b'"') else plain.decode()
