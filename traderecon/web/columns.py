"""The row of ``reconcile --out`` from a result's JSON: what a batch over the same legs writes.

    result (JSON) -> Told -> row -> a line of CSV

Pure. Hints that come from arrival times are in it; a batch cannot have them.
"""

import csv
import io
from collections.abc import Iterable

import msgspec

from traderecon.present.trade_row import COLUMNS, SENT_TEXT, spreadsheet_safe, together


class _Terms(msgspec.Struct, frozen=True):
    ticker: str | None = None
    quantity: str | None = None
    price: str | None = None
    timestamp: str | None = None


class _Pnl(msgspec.Struct, frozen=True):
    pnl_impact: str | None = None
    commission: str | None = None


class _TermsLeg(msgspec.Struct, frozen=True):
    payload: _Terms
    stands: bool = False


class _PnlLeg(msgspec.Struct, frozen=True):
    payload: _Pnl
    stands: bool = False


class _Legs(msgspec.Struct, frozen=True):
    """By source: a field of one source is a stranger's, of any type, in another."""

    executions: list[_TermsLeg] = []
    broker_confirmations: list[_TermsLeg] = []
    pnl_snapshot: list[_PnlLeg] = []


class _Check(msgspec.Struct, frozen=True):
    name: str
    outcome: str
    difference: str | None = None


class _Told(msgspec.Struct, frozen=True):
    """As much of a result as the row needs."""

    trade_id: str
    state: str
    reasons: list[str]
    hints: list[str]
    checks: list[_Check]
    legs: _Legs
    event_time: str | None = None
    contested: tuple[str, ...] = ()


_told = msgspec.json.Decoder(_Told).decode
_UNKNOWN = ("", "")
_GUARDED = tuple(COLUMNS.index(name) for name in SENT_TEXT)


def row(result: str | bytes) -> tuple[str, ...]:
    """One result's JSON in the order of ``COLUMNS``, as ``batch.table.row`` has it.

    Source: CONTRACT.md, Web: ``/download/csv``.
    """
    told = _told(result)
    execution = _terms(told.legs.executions)
    confirmation = _terms(told.legs.broker_confirmations)
    snapshots = [leg.payload for leg in told.legs.pnl_snapshot if leg.stands]
    checks = {check.name: (check.outcome, check.difference or "") for check in told.checks}
    return (
        told.trade_id,
        told.state,
        ";".join(told.reasons),
        ";".join(told.hints),
        told.event_time or "",
        *execution,
        *confirmation,
        _together(leg.pnl_impact for leg in snapshots),
        _together(leg.commission for leg in snapshots),
        checks.get("ticker", _UNKNOWN)[0],
        *checks.get("quantity", _UNKNOWN),
        *checks.get("price", _UNKNOWN),
        *checks.get("timestamp", _UNKNOWN),
        *checks.get("pnl", _UNKNOWN),
        ";".join(told.contested),
    )


def lines(results: Iterable[str | bytes]) -> bytes:
    """The rows of these results as lines of CSV, safe for spreadsheets, without the header."""
    return csv_lines(row(result) for result in results)


def header() -> bytes:
    """The names of the columns, as the first line of CSV."""
    return csv_lines([COLUMNS], guarded=())


def csv_lines(rows: Iterable[tuple[str, ...]], guarded: tuple[int, ...] = _GUARDED) -> bytes:
    """Rows as UTF-8 lines of CSV; the cells at the places in ``guarded`` hold a sender's own text."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    for cells in rows:
        safe = list(cells)
        for place in guarded:
            safe[place] = spreadsheet_safe(safe[place])
        write(safe)
    return text.getvalue().encode()


def _terms(legs: list[_TermsLeg]) -> tuple[str, str, str, str]:
    """Of the legs that stand; empty where nobody sent one."""
    standing = [leg.payload for leg in legs if leg.stands]
    return (
        _together(leg.ticker for leg in standing),
        _together(leg.quantity for leg in standing),
        _together(leg.price for leg in standing),
        _together(leg.timestamp for leg in standing),
    )


def _together(sent: Iterable[str | None]) -> str:
    return together({text for text in sent if text})
