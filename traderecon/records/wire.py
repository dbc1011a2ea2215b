"""Wire forms: a result as JSON for topics, files and the API.

Decimals are strings of digits, times ISO 8601 UTC, the drift and its tolerance decimal milliseconds.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from traderecon.records.codes import Hint, Reason
from traderecon.records.formats import BARE_CANCELS
from traderecon.records.instants import iso, milliseconds
from traderecon.records.legs import ALL_VERSIONS, Confirmation, Execution, PnlSnapshot, is_bare
from traderecon.records.numbers import plain
from traderecon.records.results import Break, Check, Operand, Outcome, Result, RulesStamp, State
from traderecon.records.sources import Kind, Source

_encode = msgspec.json.Encoder().encode


BYTES_WITH_EXTRAS = 800_000
"""A result with more than this leaves out the fields of its legs that we do not know: it must fit into a batch."""


class _SaidTerms(msgspec.Struct, gc=False, omit_defaults=True):
    """A leg in the names of its topic; what was not sent is left out."""

    trade_id: str
    ticker: str | None = None
    quantity: str | None = None
    price: str | None = None
    timestamp: str | None = None
    version: int | None = None
    kind: Kind | None = None
    side: str | None = None
    currency: str | None = None
    account: str | None = None
    broker: str | None = None
    counterparty: str | None = None
    order_id: str | None = None


class _SaidSnapshot(msgspec.Struct, gc=False, omit_defaults=True):
    """A snapshot in the names of its topic."""

    trade_id: str
    pnl_impact: str | None = None
    commission: str | None = None
    open_price: str | None = None
    mark_price: str | None = None
    version: int = -1  # always said: no version is below 0
    currency: str | None = None


class _SaidLeg(msgspec.Struct, gc=False, omit_defaults=True):
    """A leg, and beside its terms what else its identity is made of: the digits of its time, and its hints."""

    payload: _SaidTerms | _SaidSnapshot | msgspec.Raw
    topic: str
    partition: int
    offset: int
    received_at: str | None
    stands: bool
    granularity: int = 0
    hints: tuple[Hint, ...] = ()


class _SaidCheck(msgspec.Struct, gc=False):
    name: str
    reason: Reason
    outcome: Outcome
    execution: str | None
    confirmation: str | None
    difference: str | None
    tolerance: str | None
    note: str


class _SaidResult(msgspec.Struct, gc=False, rename={"broken": "break"}):
    event_id: str
    trade_id: str
    version: int
    state: State
    reasons: tuple[Reason, ...]
    checks: list[_SaidCheck]
    hints: tuple[Hint, ...]
    broken: Break
    legs: dict[Source, list[_SaidLeg]]
    rules: RulesStamp
    event_time: str | None
    contested: list[str] | msgspec.UnsetType = msgspec.UNSET
    format: int | msgspec.UnsetType = msgspec.UNSET


def result_json(result: Result) -> bytes:
    """One result, the same bytes for the same result. Source: CONTRACT.md, Topics."""
    whole = _result(result, extras=True)
    return whole if len(whole) <= BYTES_WITH_EXTRAS else _result(result, extras=False)


def _result(result: Result, *, extras: bool) -> bytes:
    verdict = result.verdict
    return _encode(
        _SaidResult(
            result.event_id,
            result.trade_id,
            result.version,
            verdict.state,
            verdict.reasons,
            [_check(check) for check in verdict.checks],
            verdict.hints,
            result.broken,
            _legs(result, extras=extras),
            result.rules,
            None if result.event_time_ns is None else iso(result.event_time_ns),
            [field_name(source, field) for source, field in verdict.contested] or msgspec.UNSET,
            BARE_CANCELS if any(is_bare(fact.leg) for fact in result.facts) else msgspec.UNSET,
        )
    )


def field_name(source: Source, field: str) -> str:
    """A field of a leg as others know it.

    >>> field_name(Source.EXECUTIONS, "timestamp_ns"), field_name(Source.PNL, "commission")
    ('executions.timestamp', 'pnl_snapshot.commission')
    """
    return f"{source}.{'timestamp' if field == 'timestamp_ns' else field}"


def operand_text(value: Operand) -> str:
    """What one side said, as text: digits, ISO 8601, the text itself; empty when it said nothing.

    >>> operand_text(Decimal("1E-7")), operand_text(1_753_524_083_000_000_000), operand_text(None)
    ('0.0000001', '2025-07-26T10:01:23Z', '')
    """
    return _OPERANDS[type(value)](value) or ""


def difference_text(value: Decimal | int | None) -> str:
    """A difference or a tolerance as text: an amount in digits, a time in decimal milliseconds.

    >>> difference_text(Decimal("0.005")), difference_text(100_000_001), difference_text(None)
    ('0.005', '100.000001', '')
    """
    return _DIFFERENCES[type(value)](value) or ""


def _text(text: str | None) -> str | None:
    return text or None


_Said = Mapping[type, Callable[[Any], str | None]]

_OPERANDS: _Said = {Decimal: plain, int: iso, str: _text, type(None): _text}
_DIFFERENCES: _Said = {Decimal: plain, int: milliseconds, type(None): _text}


def _check(check: Check) -> _SaidCheck:
    ours, theirs, apart, limit = check.execution, check.confirmation, check.difference, check.tolerance
    execution = _OPERANDS[type(ours)](ours)
    return _SaidCheck(
        check.name,
        check.reason,
        check.outcome,
        execution,
        execution if theirs == ours else _OPERANDS[type(theirs)](theirs),
        _DIFFERENCES[type(apart)](apart),
        _DIFFERENCES[type(limit)](limit),
        check.note,
    )


def _legs(result: Result, *, extras: bool) -> dict[Source, list[_SaidLeg]]:
    legs: dict[Source, list[_SaidLeg]] = {}
    for fact, stands in zip(result.facts, result.stands, strict=True):
        leg, origin = fact.leg, fact.origin
        said: _SaidTerms | _SaidSnapshot = _snapshot(leg) if isinstance(leg, PnlSnapshot) else _terms(leg)
        legs.setdefault(leg.source, []).append(
            _SaidLeg(
                # The two have no name in common: what we do not know goes behind what we do.
                msgspec.Raw(_encode(said)[:-1] + b"," + _encode(fact.extra)[1:]) if extras and fact.extra else said,
                origin.topic,
                origin.partition,
                origin.offset,
                iso(origin.received_at_ns) if origin.received_at_ns else None,
                stands,
                0 if isinstance(leg, PnlSnapshot) else leg.granularity,
                leg.hints,
            )
        )
    return legs


def _terms(leg: Execution | Confirmation) -> _SaidTerms:
    return _SaidTerms(
        leg.trade_id,
        leg.ticker,
        None if leg.quantity is None else plain(leg.quantity),
        None if leg.price is None else plain(leg.price),
        None if leg.timestamp_ns is None else iso(leg.timestamp_ns),
        None if leg.version == ALL_VERSIONS else leg.version,
        leg.kind,
        leg.side,
        leg.currency,
        leg.account,
        leg.broker,
        leg.counterparty,
        leg.order_id,
    )


def _snapshot(leg: PnlSnapshot) -> _SaidSnapshot:
    return _SaidSnapshot(
        leg.trade_id,
        None if leg.pnl_impact is None else plain(leg.pnl_impact),
        None if leg.commission is None else plain(leg.commission),
        None if leg.open_price is None else plain(leg.open_price),
        None if leg.mark_price is None else plain(leg.mark_price),
        leg.version,
        leg.currency,
    )
