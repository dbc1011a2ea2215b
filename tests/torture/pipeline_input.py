"""An input record as the row that the oracle judges, or None if it is malformed.

    role, bytes  ->  {"trade_id": "T1", "quantity": "100", ...} | None

A second decoder of the inputs, stricter than necessary: it accepts what the torture feeds, and rejects all else.
Source: CONTRACT.md, Topics; DOMAIN.md 5.1, 6.2 G.
"""

import json
import re
from datetime import UTC, datetime
from fractions import Fraction

EXECUTIONS, CONFIRMATIONS, PNL = "executions", "broker_confirmations", "pnl_snapshot"
NUMBERS = {"quantity", "price", "version", "pnl_impact", "commission"}
MAX_BYTES = 65_536
MAX_TEXT = 512
MAX_NUMBER = 128
KINDS = {"new", "amend", "cancel"}
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,9})?", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Row = dict[str, str]


def row_of(role: str, value: bytes | None) -> Row | None:
    """The fields of a leg as text; None if it is no leg."""
    if value is None or len(value) > MAX_BYTES:
        return None
    try:
        decoded = json.loads(value.decode(), parse_int=str, parse_float=str, object_pairs_hook=_unique_fields)
    except ValueError:
        return None
    if not isinstance(decoded, dict) or not all(isinstance(field, str) for field in decoded.values()):
        return None
    row = {name: field.strip(" ") for name, field in decoded.items() if field.strip(" ")}
    return row if _is_leg(role, row) else None


def _is_leg(role: str, row: Row) -> bool:
    if any(len(text) > MAX_TEXT or UNPRINTABLE.search(text) for text in row.values()) or "trade_id" not in row:
        return False
    numbers = {name: _number(row[name]) for name in row.keys() & NUMBERS}
    if None in numbers.values() or row.get("kind", "new").lower() not in KINDS:
        return False
    if role == PNL:
        return bool(row.keys() & {"pnl_impact", "commission"})
    quantity = numbers.get("quantity")
    complete = {"ticker", "quantity", "price", "timestamp"} <= row.keys()
    return complete and quantity is not None and quantity > 0 and _is_instant(row["timestamp"])


def _number(text: str) -> Fraction | None:
    """At most eighteen digits before the point and eighteen after it; None for anything else."""
    if len(text) > MAX_NUMBER or not NUMBER.fullmatch(text):
        return None
    value = Fraction(text) if abs(int((re.search(r"[eE](.+)", text) or ["", "0"])[1])) < MAX_NUMBER else None
    if value is None or abs(value) >= 10**18 or (value * 10**18).denominator != 1:
        return None
    return value


def _is_instant(text: str) -> bool:
    if not INSTANT.fullmatch(text):
        return False
    try:
        moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return 1970 <= moment.year < 2262


def _unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a field occurs twice")
    return dict(pairs)
