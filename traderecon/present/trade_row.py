"""The columns of ``reconcile --out``: one row per trade, with the values of both sides and the outcomes of checks."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from traderecon.matching import Sides, distinct_values
from traderecon.matching.compared import compare_fields
from traderecon.records import Assessment, Check, Leg, PnlSnapshot, Source, Verdict
from traderecon.records.instants import iso
from traderecon.records.legs import ATTRIBUTES, has_attributes
from traderecon.records.numbers import plain
from traderecon.records.result_message import difference_text, field_name, operand_text

_SIDE = ("ticker", "quantity", "price", "timestamp")

COLUMNS = (
    "trade_id",
    "state",
    "reasons",
    "hints",
    "event_time",
    *(f"execution_{name}" for name in _SIDE),
    *(f"confirmation_{name}" for name in _SIDE),
    "pnl_impact",
    "commission",
    "ticker_check",
    "quantity_check",
    "quantity_difference",
    "price_check",
    "price_difference",
    "timestamp_check",
    "timestamp_difference_ms",
    "pnl_check",
    "pnl_difference",
    "contested",
    "agreed",
    "differing",
    "sent_by_both",
    "sent_by_one",
    "attributes",
    "severity",
    "at_stake",
    "at_stake_currency",
)
"""Amounts are exact decimals, times ISO 8601 UTC; values that were not sent and disabled checks are empty.

If one version was sent with several values of a field, its cell has all of them; ``contested`` names such fields, as
``executions.price``. A group has its sums, the average price and the last timestamp. ``agreed`` to ``sent_by_one``
count fields. ``attributes`` has those that a side sent, as JSON:
``{"currency":{"execution":"USD","confirmation":"EUR","check":"FAIL"}}``. Of a break ``severity`` and the money at
stake.
"""

COUNTS = ("agreed", "differing", "sent_by_both", "sent_by_one")
LISTS = ("reasons", "hints", "contested")
SENT_TEXT = ("trade_id", "execution_ticker", "confirmation_ticker", "attributes", "at_stake_currency")
"""The columns with a sender's own text."""

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
"""Characters that start a formula, in all their widths."""
_IGNORED = (
    "\"'\\x00-\\x08\\x0b\\x0c\\x0e-\\x20\\x7f-\\xa0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    "\ufeff\ufff9-\ufffb"
)
"""Characters that a spreadsheet may ignore before them."""
_FORMULA = re.compile(f"(^|[;\\t\\r\\n])([{_IGNORED}]*)(?=[{_SIGNS}])")
"""At the start of a cell, or after a character that separates cells in some locales."""
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)

_NOT_CHECKED = ("", "")
_NO_ASSESSMENT = ("", "", "")
_encode = msgspec.json.Encoder().encode


def spreadsheet_safe(text: str) -> str:
    r"""Text that a spreadsheet does not take for a formula: a quote is put before the first sign. Decimals are kept.

    >>> spreadsheet_safe("=1+1"), spreadsheet_safe("a;\u200b@x"), spreadsheet_safe("AAPL"), spreadsheet_safe("-1.5")
    ("'=1+1", "a;'\u200b@x", 'AAPL', '-1.5')
    """
    return text if _DECIMAL.fullmatch(text) else _FORMULA.sub(r"\1'\2", text)


def join_values(texts: Iterable[str]) -> str:
    """One cell with all values; there is more than one only if legs contradict each other.

    >>> join_values(["190.5"]), join_values(["190.6", "190.5"]), join_values([])
    ('190.5', '190.5 | 190.6', '')
    """
    return " | ".join(sorted(texts))


def row(trade_id: str, sides: Sides, verdict: Verdict, assessment: Assessment | None) -> tuple[str, ...]:
    """One trade in the order of ``COLUMNS``; the codes of a list joined by ``;``."""
    execution = _side(sides, Source.EXECUTIONS)
    confirmation = _side(sides, Source.CONFIRMATIONS)
    event_time_ns = sides.event_time_ns
    checks = {check.name: _outcome(check) for check in verdict.checks}
    return (
        trade_id,
        verdict.state,
        ";".join(verdict.reasons),
        ";".join(verdict.hints),
        "" if event_time_ns is None else iso(event_time_ns),
        *execution,
        *confirmation,
        _cell(sides, Source.PNL, "pnl_impact"),
        _cell(sides, Source.PNL, "commission"),
        checks.get("ticker", _NOT_CHECKED)[0],
        *checks.get("quantity", _NOT_CHECKED),
        *checks.get("price", _NOT_CHECKED),
        *checks.get("timestamp", _NOT_CHECKED),
        *checks.get("pnl", _NOT_CHECKED),
        ";".join(field_name(source, field) for source, field in verdict.contested),
        *map(str, msgspec.structs.astuple(compare_fields(sides, verdict.checks))),
        _attributes(sides, verdict),
        *(_NO_ASSESSMENT if assessment is None else _assessment(assessment)),
    )


def attributes_text(values: Iterable[tuple[str, str, str, str]]) -> str:
    """The cell of ``attributes``: name, value of the execution, value of the confirmation, outcome; empty for absent.

    >>> attributes_text([("side", "BUY", "", "NOT_CHECKED")])
    '{"side":{"execution":"BUY","check":"NOT_CHECKED"}}'
    """
    cells = {
        name: {key: text for key, text in (("execution", ours), ("confirmation", theirs), ("check", outcome)) if text}
        for name, ours, theirs, outcome in values
        if ours or theirs
    }
    return _encode(cells).decode() if cells else ""


def _assessment(assessment: Assessment) -> tuple[str, str, str]:
    stake = assessment.stake
    return assessment.severity, "" if stake.amount is None else plain(stake.amount), stake.currency or ""


def _attributes(sides: Sides, verdict: Verdict) -> str:
    legs = sides.effective(Source.EXECUTIONS), sides.effective(Source.CONFIRMATIONS)
    if not any(has_attributes(leg) for side in legs for leg in side if not isinstance(leg, PnlSnapshot)):
        return ""
    ours, theirs = ({name: _values(side, name) for name in ATTRIBUTES} for side in legs)
    for leg, values in ((sides.execution, ours), (sides.confirmation, theirs)):
        if leg in sides.combined and leg.commission is not None:
            values["commission"] = plain(leg.commission)
    outcomes = {check.name: str(check.outcome) for check in verdict.checks}
    return attributes_text((name, ours[name], theirs[name], outcomes.get(name, "")) for name in ATTRIBUTES)


def _values(legs: tuple[Leg, ...], field: str) -> str:
    """As they were sent: two spellings of one value are two."""
    return join_values({operand_text(value) for leg in legs if (value := getattr(leg, field)) is not None})


def _side(sides: Sides, source: Source) -> tuple[str, str, str, str]:
    return (
        join_values(distinct_values(sides.effective(source), "ticker")),
        _cell(sides, source, "quantity"),
        _cell(sides, source, "price"),
        _cell(sides, source, "timestamp_ns"),
    )


def _cell(sides: Sides, source: Source, field: str) -> str:
    return join_values(map(operand_text, values_of(sides, source, field)))


def values_of(sides: Sides, source: Source, field: str) -> list[Any]:
    """The sum of a group, or the value of the effective leg; the values of its rivals where it has none."""
    combined = next((leg for leg in sides.combined if leg.source is source), None)
    value = getattr(combined, field, None)
    return distinct_values(sides.effective(source), field) if value is None else [value]


def _outcome(check: Check) -> tuple[str, str]:
    return check.outcome, difference_text(check.difference)
