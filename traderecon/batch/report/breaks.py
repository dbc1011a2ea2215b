"""A break as a person reads it: what each side said, one above the other, and where they part."""

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile

import msgspec

from traderecon.batch.report.figures import amount, exact
from traderecon.batch.report.terms import bound_of
from traderecon.batch.summary import Break
from traderecon.records import Check, Confirmation, Execution, Hint, Kind, Operand, Outcome, Reason, Severity, Source
from traderecon.records.instants import iso, milliseconds
from traderecon.rules import Bound, Rules

TERMS = ("ticker", "quantity", "price", "timestamp")
"""Shown whether the rules check them or not."""

_FIELDS = {"timestamp": "timestamp_ns", "pnl": "pnl_impact"}
_ABOUT = ("side", "currency", "account", "broker", "counterparty", "order_id")

_CODE_POINTS = 8


class Said(msgspec.Struct, frozen=True, gc=False):
    """One value: the text up to where the sides part, and the part that differs.

    ``pad`` is what brings its decimal point below the other side's; ``codes`` spells characters beyond ASCII, which
    may look like others; ``contested`` when another row of the same version says otherwise.
    """

    same: str
    differs: str = ""
    pad: str = ""
    codes: str = ""
    contested: bool = False


class Compared(msgspec.Struct, frozen=True):
    """One term of a trade: what each side said, and what the check found; no outcome where the check is off."""

    name: str
    execution: Said | None
    confirmation: Said | None
    outcome: Outcome | None
    difference: str
    pad: str
    allowed: str
    note: str


class Shown(msgspec.Struct, frozen=True):
    """One break.

    ``hidden`` spells the characters of the trade_id that nobody sees, such as marks of direction. ``about`` is what
    the legs say beside their terms, where they agree; ``execution`` and ``confirmation`` are what one says alone, empty
    where that is nothing and None where the leg is missing.
    """

    trade_id: str
    hidden: str
    state: str
    severity: Severity
    reasons: tuple[Reason, ...]
    hints: tuple[Hint, ...]
    event_time: str
    notional: str
    about: str
    execution: str | None
    confirmation: str | None
    compared: tuple[Compared, ...]


def columns(rules: Rules) -> tuple[str, ...]:
    """The terms, and whatever else the rules check."""
    return tuple(dict.fromkeys((*TERMS, *(rule.name for rule in rules.checks))))


def shown(broken: Break, rules: Rules) -> Shown:
    """Lay out one break under the rules that judged it."""
    sides = broken.sides
    checks = {check.name: check for check in broken.verdict.checks}
    bounds = {rule.name: bound_of(rule) for rule in rules.checks}
    event_time_ns = sides.event_time_ns
    details = {leg.source: _details(leg) for leg in (sides.execution, sides.confirmation) if leg}
    common = next(iter(details.values())) if len(set(details.values())) == 1 else ()
    return Shown(
        trade_id=broken.trade_id,
        hidden=_codes(character for character in broken.trade_id if unicodedata.category(character) == "Cf"),
        state=broken.verdict.state,
        severity=broken.severity,
        reasons=broken.verdict.reasons,
        hints=broken.verdict.hints,
        event_time="" if event_time_ns is None else iso(event_time_ns),
        notional=amount(broken.notional),
        about=", ".join(common),
        execution=_alone(sides.execution, common),
        confirmation=_alone(sides.confirmation, common),
        compared=tuple(_compared(name, broken, checks.get(name), bounds.get(name)) for name in columns(rules)),
    )


def _details(leg: Execution | Confirmation) -> tuple[str, ...]:
    return tuple(sent for name in _ABOUT if (sent := getattr(leg, name)))


def _alone(leg: Execution | Confirmation | None, common: tuple[str, ...]) -> str | None:
    """What a leg says alone; its version and kind where they are not the usual ones."""
    if leg is None:
        return None
    kind = [leg.kind.value] if leg.kind is not Kind.NEW else []
    version = [f"version {leg.version}"] if leg.version != 1 else []
    details = _details(leg)
    return ", ".join((*kind, *version, *(() if details == common else details)))


def _compared(name: str, broken: Break, check: Check | None, bound: Bound | None) -> Compared:
    """The operands of the check; where it compared nothing, what the legs themselves say."""
    sides, field = broken.sides, _FIELDS.get(name, name)
    partner, source = (sides.pnl, Source.PNL) if name == "pnl" else (sides.confirmation, Source.CONFIRMATIONS)
    ours, theirs = getattr(sides.execution, field, None), getattr(partner, field, None)
    difference, note, outcome = "", "", check.outcome if check else None
    if check and outcome is Outcome.NOT_CHECKED:
        note = check.note
    elif check:
        ours, theirs = check.execution, check.confirmation
        difference = _distance(check.difference) if check.difference else ""
    places = max(_places(_text(value)) for value in (ours, theirs)) if isinstance(ours, Decimal) else 0
    same = _common(ours, theirs) if outcome is Outcome.FAIL else None
    return Compared(
        name,
        _said(ours, same, places, contested=(Source.EXECUTIONS, field) in sides.contested),
        _said(theirs, same, places, contested=(source, field) in sides.contested),
        outcome,
        difference,
        _pad(difference, places),
        _allowed(check, bound) if difference else "",
        note,
    )


def _said(value: Operand, same: int | None, places: int, *, contested: bool) -> Said | None:
    """``same`` characters are the other side's too; None: nothing is to be marked."""
    if value is None:
        return None
    text = _text(value)
    return Said(
        same=text[:same],
        differs="" if same is None else text[same:],
        pad=_pad(text, places),
        codes=foreign_codes(text),
        contested=contested,
    )


def _common(ours: Operand, theirs: Operand) -> int:
    """How many leading characters say the same; none in numbers of unequal length, or where letters may look alike.

    >>> _common(Decimal("190.5"), Decimal("190.506")), _common(Decimal("9.5"), Decimal("19.5")), _common("A.B", "A/B")
    (5, 0, 1)
    """
    texts = _text(ours), _text(theirs)
    whole = {len(text.partition(".")[0]) for text in texts}
    if not all(text.isascii() for text in texts) or (isinstance(ours, Decimal) and len(whole) > 1):
        return 0
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))


def foreign_codes(text: str) -> str:
    """The code points of the characters beyond ASCII, which may look like others: empty for most texts.

    >>> foreign_codes("\u0410APL"), foreign_codes("AAPL")
    ('U+0410', '')
    """
    return _codes(character for character in text if not character.isascii())


def _codes(characters: Iterable[str]) -> str:
    codes = [f"U+{ord(character):04X}" for character in characters]
    return " ".join(codes if len(codes) <= _CODE_POINTS else [*codes[:_CODE_POINTS], "…"])


def _text(value: Operand) -> str:
    if isinstance(value, Decimal):
        return exact(value)
    return iso(value) if isinstance(value, int) else value or ""


def _distance(difference: Decimal | int) -> str:
    return exact(difference) if isinstance(difference, Decimal) else f"{milliseconds(difference)} ms"


def _allowed(check: Check | None, bound: Bound | None) -> str:
    """The limit, and by its sign whether exactly the limit agrees."""
    if check is None or bound is None or check.tolerance is None:
        return ""
    tolerance = check.tolerance
    if not tolerance:
        return "none allowed"
    text = exact(tolerance) if isinstance(tolerance, Decimal) else f"{milliseconds(tolerance)} ms"
    return f"allowed {'≤' if bound is Bound.INCLUSIVE else '<'} {text}"


def _places(text: str) -> int:
    return len(text.partition(".")[2])


def _pad(text: str, places: int) -> str:
    """What is missing to so many places behind the point."""
    missing = places - _places(text)
    return ("" if "." in text else ".") + "0" * missing if text and missing > 0 else ""
