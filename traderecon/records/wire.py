"""Wire forms: a result as JSON for topics, files and the API.

Decimals are strings of digits, times ISO 8601 UTC, the drift and its tolerance decimal milliseconds.
"""

from decimal import Decimal
from typing import Any

import msgspec

from traderecon.records.instants import iso, milliseconds
from traderecon.records.legs import Leg, PnlSnapshot
from traderecon.records.numbers import plain
from traderecon.records.results import Check, Operand, Result

_encode = msgspec.json.Encoder().encode

_OPTIONAL_TERMS = ("side", "currency", "account", "broker", "counterparty", "order_id")
_PNL_AMOUNTS = ("pnl_impact", "commission", "open_price", "mark_price")


RESULT_BYTES = 800_000
"""A result with more than this leaves out the fields of its legs that we do not know: it must fit into a batch."""


def result_json(result: Result) -> bytes:
    """One result, the same bytes for the same result. Source: CONTRACT.md, Topics."""
    whole = _result(result, extras=True)
    return whole if len(whole) <= RESULT_BYTES else _result(result, extras=False)


def _result(result: Result, *, extras: bool) -> bytes:
    return _encode(
        {
            "event_id": result.event_id,
            "trade_id": result.trade_id,
            "version": result.version,
            "state": result.verdict.state,
            "reasons": result.verdict.reasons,
            "checks": [_check(check) for check in result.verdict.checks],
            "hints": result.verdict.hints,
            "break": result.broken,
            "legs": _legs(result, extras=extras),
            "rules": result.rules,
            "event_time": None if result.event_time_ns is None else iso(result.event_time_ns),
        }
    )


def operand_text(value: Operand) -> str:
    """What one side said, as text: digits, ISO 8601, the text itself; empty when it said nothing.

    >>> operand_text(Decimal("1E-7")), operand_text(1_753_524_083_000_000_000), operand_text(None)
    ('0.0000001', '2025-07-26T10:01:23Z', '')
    """
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int):
        return iso(value)
    return value or ""


def difference_text(value: Decimal | int | None) -> str:
    """A difference or a tolerance as text: an amount in digits, a time in decimal milliseconds.

    >>> difference_text(Decimal("0.005")), difference_text(100_000_001), difference_text(None)
    ('0.005', '100.000001', '')
    """
    if isinstance(value, int):
        return milliseconds(value)
    return "" if value is None else plain(value)


def _check(check: Check) -> dict[str, str | None]:
    ours, theirs, difference, tolerance = check.execution, check.confirmation, check.difference, check.tolerance
    return {
        "name": check.name,
        "reason": check.reason,
        "outcome": check.outcome,
        "execution": None if ours is None else operand_text(ours) or None,
        "confirmation": None if theirs is None else operand_text(theirs) or None,
        "difference": None if difference is None else difference_text(difference),
        "tolerance": None if tolerance is None else difference_text(tolerance),
        "note": check.note,
    }


def _legs(result: Result, *, extras: bool) -> dict[str, list[dict[str, Any]]]:
    legs: dict[str, list[dict[str, Any]]] = {}
    for fact, stands in zip(result.facts, result.stands, strict=True):
        origin = fact.origin
        legs.setdefault(fact.leg.source, []).append(
            {
                "payload": {**_payload(fact.leg), **((fact.extra if extras else None) or {})},
                "topic": origin.topic,
                "partition": origin.partition,
                "offset": origin.offset,
                "received_at": iso(origin.received_at_ns) if origin.received_at_ns else None,
                "stands": stands,
            }
        )
    return legs


def _payload(leg: Leg) -> dict[str, str | int]:
    """The leg in the names of its topic; what was not sent is left out."""
    payload: dict[str, str | int]
    if isinstance(leg, PnlSnapshot):
        payload = {"trade_id": leg.trade_id}
        for name in _PNL_AMOUNTS:
            if (amount := getattr(leg, name)) is not None:
                payload[name] = plain(amount)
        payload["version"] = leg.version
        if leg.currency is not None:
            payload["currency"] = leg.currency
        return payload
    payload = {
        "trade_id": leg.trade_id,
        "ticker": leg.ticker,
        "quantity": plain(leg.quantity),
        "price": plain(leg.price),
        "timestamp": iso(leg.timestamp_ns),
        "version": leg.version,
        "kind": leg.kind,
    }
    for name in _OPTIONAL_TERMS:
        if (text := getattr(leg, name)) is not None:
            payload[name] = text
    return payload
