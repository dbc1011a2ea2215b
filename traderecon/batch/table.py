"""The columns of ``reconcile --out``: one row per trade, what each side said and what the checks found."""

from traderecon.matching import Sides
from traderecon.records import Check, Confirmation, Execution, Verdict
from traderecon.records.instants import iso
from traderecon.records.numbers import plain
from traderecon.records.wire import difference_text

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
)
"""Amounts are exact decimals, times ISO 8601 UTC; what nobody sent, and a check that is off, is empty."""

LISTS = ("reasons", "hints")
SENT_TEXT = ("trade_id", "execution_ticker", "confirmation_ticker")
"""The columns that carry a sender's own text."""

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What begins a formula, in both widths; control characters never get this far."""

_NOBODY = ("", "", "", "")
_UNKNOWN = ("", "")


def spreadsheet_safe(text: str) -> str:
    """Text that a spreadsheet shows and never runs: a quote before what would begin a formula.

    >>> spreadsheet_safe("=1+1"), spreadsheet_safe(" @x"), spreadsheet_safe("AAPL")
    ("'=1+1", "' @x", 'AAPL')
    """
    return f"'{text}" if text.lstrip(" \"'").startswith(_FORMULA) else text


def row(trade_id: str, sides: Sides, verdict: Verdict) -> tuple[str, ...]:
    """One trade in the order of ``COLUMNS``; the codes of a list joined by ``;``."""
    execution = _side(sides.execution)
    confirmation = _side(sides.confirmation)
    pnl = sides.pnl
    checks = {check.name: _found(check) for check in verdict.checks}
    return (
        trade_id,
        verdict.state,
        ";".join(verdict.reasons),
        ";".join(verdict.hints),
        execution[3] or confirmation[3],
        *execution,
        *confirmation,
        "" if pnl is None or pnl.pnl_impact is None else plain(pnl.pnl_impact),
        "" if pnl is None or pnl.commission is None else plain(pnl.commission),
        checks.get("ticker", _UNKNOWN)[0],
        *checks.get("quantity", _UNKNOWN),
        *checks.get("price", _UNKNOWN),
        *checks.get("timestamp", _UNKNOWN),
        *checks.get("pnl", _UNKNOWN),
    )


def _side(leg: Execution | Confirmation | None) -> tuple[str, str, str, str]:
    if leg is None:
        return _NOBODY
    return leg.ticker, plain(leg.quantity), plain(leg.price), iso(leg.timestamp_ns)


def _found(check: Check) -> tuple[str, str]:
    return check.outcome, difference_text(check.difference)
