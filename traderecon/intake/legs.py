"""Fields to leg: the one place where a record's text becomes the terms of a trade.

{"trade_id": "T1", "ticker": "AAPL", "quantity": "100", ...}  ->  leg, or a DecodeError that names the field
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from traderecon.intake import values
from traderecon.intake.blanks import trim
from traderecon.intake.decode_error import DecodeError, quote
from traderecon.intake.instants import instant
from traderecon.intake.source_settings import PNL, TERMS, SourceSettings
from traderecon.records import ALL_VERSIONS, Confirmation, Execution, Hint, Kind, Leg, PnlSnapshot, RejectCode, Source

Value = TypeVar("Value")
Fields = Mapping[str, str | None]

_ATTRIBUTES: Mapping[str, Callable[[str], object]] = {
    "side": values.text,
    "currency": values.text,
    "account": values.text,
    "broker": values.text,
    "counterparty": values.text,
    "order_id": values.text,
    "commission": values.number,
    "trade_date": values.date,
    "settlement_date": values.date,
    "contract_multiplier": values.positive,
}
TERMS_OPTIONAL = ("version", "kind", *_ATTRIBUTES)
PNL_OPTIONAL = ("version", "currency", "open_price", "mark_price")
SCHEMA_VERSION = "schema_version"

KNOWN_FIELDS = {
    Source.EXECUTIONS: frozenset((*TERMS, *TERMS_OPTIONAL, SCHEMA_VERSION)),
    Source.CONFIRMATIONS: frozenset((*TERMS, *TERMS_OPTIONAL, SCHEMA_VERSION)),
    Source.PNL: frozenset((*PNL, *PNL_OPTIONAL, SCHEMA_VERSION)),
}
"""All fields with a meaning; any other is stored beside the leg and ignored."""


def known_fields(source: Source, settings: SourceSettings) -> frozenset[str]:
    """All fields with a meaning under these settings."""
    return KNOWN_FIELDS[source].union(settings.own_fields, settings.key_fields)


def leg_of(source: Source, fields: Fields, settings: SourceSettings) -> Leg:
    """The leg of these fields, in the product's own words. Raises DecodeError.

    A field that is absent, None or blank was not sent. Of the settings it reads ``form`` and ``optional``; the others
    are for ``translation``.
    """
    trade_id = _required(fields, "trade_id", values.key)
    if SCHEMA_VERSION in fields:
        _require_schema_one(fields)
    if source is Source.PNL:
        return _snapshot_leg(trade_id, fields)
    return _trade_leg(Execution if source is Source.EXECUTIONS else Confirmation, trade_id, fields, settings)


def _trade_leg(
    leg_type: type[Execution] | type[Confirmation], trade_id: str, fields: Fields, settings: SourceSettings
) -> Execution | Confirmation:
    # The kind first: a record of another kind is not a trade and may lack the terms.
    kind = (_optional(fields, "kind", values.kind) if "kind" in fields else None) or Kind.NEW
    if kind is Kind.CANCEL:
        return _cancel_leg(leg_type, trade_id, fields, settings)
    try:
        ticker = values.text(fields.get("ticker") or "")
        quantity = values.positive(fields.get("quantity") or "")
        price = values.number(fields.get("price") or "")
        timestamp = instant(fields.get("timestamp") or "", settings.form)
    except DecodeError:
        return _partial_leg(leg_type, trade_id, kind, fields, settings)
    hints = timestamp.hints
    if ticker != fields["ticker"] or trade_id != fields["trade_id"]:
        hints = tuple(sorted((*hints, Hint.NORMALISED)))
    if len(fields) == len(TERMS):  # nothing optional was sent
        return leg_type(trade_id, ticker, quantity, price, timestamp.ns, timestamp.granularity, hints=hints)
    return leg_type(
        trade_id,
        ticker,
        quantity,
        price,
        timestamp.ns,
        timestamp.granularity,
        version=_version(fields),
        kind=kind,
        **_attributes(fields, _optional),
        hints=hints,
    )


def _partial_leg(
    leg_type: type[Execution] | type[Confirmation], trade_id: str, kind: Kind, fields: Fields, settings: SourceSettings
) -> Execution | Confirmation:
    """The leg where a term is absent that may be; raises the first error otherwise."""

    def read(name: str, parse: Callable[[str], Value]) -> Value | None:
        return _optional(fields, name, parse) if name in settings.optional else _required(fields, name, parse)

    ticker = read("ticker", values.text)
    quantity = read("quantity", values.positive)
    price = read("price", values.number)
    timestamp = read("timestamp", lambda sent: instant(sent, settings.form))
    hints = timestamp.hints if timestamp else ()
    if trade_id != fields["trade_id"] or (ticker is not None and ticker != fields["ticker"]):
        hints = tuple(sorted((*hints, Hint.NORMALISED)))
    return leg_type(
        trade_id,
        ticker,
        quantity,
        price,
        timestamp.ns if timestamp else None,
        timestamp.granularity if timestamp else 0,
        version=_version(fields),
        kind=kind,
        **_attributes(fields, _optional),
        hints=hints,
    )


def _cancel_leg(
    leg_type: type[Execution] | type[Confirmation], trade_id: str, fields: Fields, settings: SourceSettings
) -> Execution | Confirmation:
    """A cancel needs only its trade_id; a term that cannot be read is left out, since none is checked."""
    version = _optional(fields, "version", values.version)
    timestamp = _readable(fields, "timestamp", lambda sent: instant(sent, settings.form))
    ticker = _readable(fields, "ticker", values.text)
    hints = timestamp.hints if timestamp else ()
    if trade_id != fields["trade_id"] or (ticker is not None and ticker != fields["ticker"]):
        hints = tuple(sorted((*hints, Hint.NORMALISED)))
    return leg_type(
        trade_id,
        ticker,
        _readable(fields, "quantity", values.number),
        _readable(fields, "price", values.number),
        timestamp.ns if timestamp else None,
        timestamp.granularity if timestamp else 0,
        version=ALL_VERSIONS if version is None else version,
        kind=Kind.CANCEL,
        **_attributes(fields, _readable),
        hints=hints,
    )


def _attributes(fields: Fields, read: Callable[[Fields, str, Callable[[str], Any]], Any]) -> dict[str, Any]:
    """The attributes that were sent, each by ``read``."""
    return {name: read(fields, name, parse) for name, parse in _ATTRIBUTES.items() if name in fields}


def with_hints(leg: Leg, hints: set[Hint]) -> Leg:
    """The leg with these hints beside its own."""
    return msgspec.structs.replace(leg, hints=tuple(sorted(hints.union(leg.hints)))) if hints else leg


def unreadable_terms(leg: Leg, fields: Fields) -> dict[str, str]:
    """The terms of a cancel that could not be read, as sent: shown beside the leg, never used.

    {"kind": "cancel", "price": "n/a", ...}  ->  {"unread_price": "n/a"}
    """
    if leg.kind is not Kind.CANCEL:
        return {}
    names = {**{name: name for name in (*TERMS, *TERMS_OPTIONAL)}, "timestamp": "timestamp_ns"}
    return {
        f"unread_{name}": sent
        for name, field in names.items()
        if (sent := fields.get(name)) is not None and trim(sent) and getattr(leg, field) is None
    }


def _snapshot_leg(trade_id: str, fields: Fields) -> PnlSnapshot:
    """A snapshot may lack one of its two amounts, which the pnl check reports; one that lacks both is useless."""
    pnl_impact = _optional(fields, "pnl_impact", values.number)
    commission = _optional(fields, "commission", values.number)
    if pnl_impact is None and commission is None:
        raise missing(fields, "pnl_impact")
    return PnlSnapshot(
        trade_id,
        pnl_impact,
        commission,
        version=_version(fields),
        currency=_optional(fields, "currency", values.text),
        open_price=_optional(fields, "open_price", values.number),
        mark_price=_optional(fields, "mark_price", values.number),
        hints=() if trade_id == fields["trade_id"] else (Hint.NORMALISED,),
    )


def _version(fields: Fields) -> int:
    version = _optional(fields, "version", values.version)
    return 1 if version is None else version


def _require_schema_one(fields: Fields) -> None:
    if _optional(fields, SCHEMA_VERSION, values.version) not in {None, 1}:
        raise DecodeError(
            RejectCode.SCHEMA_UNSUPPORTED,
            f"{record_name(fields)} has {SCHEMA_VERSION} {quote(fields[SCHEMA_VERSION] or '')}: this reader knows 1",
        )


def _required(fields: Fields, name: str, parse: Callable[[str], Value]) -> Value:
    sent = fields.get(name) or ""
    try:
        return parse(sent)
    except DecodeError as error:
        if not trim(sent):
            raise missing(fields, name) from None
        raise DecodeError(error.code, f"{record_name(fields)} has {name} {quote(sent)}: {error.text}") from None


def _optional(fields: Fields, name: str, parse: Callable[[str], Value]) -> Value | None:
    sent = fields.get(name)
    if sent is None or not trim(sent):
        return None
    return _required(fields, name, parse)


def _readable(fields: Fields, name: str, parse: Callable[[str], Value]) -> Value | None:
    try:
        return _optional(fields, name, parse)
    except DecodeError:
        return None


def missing(fields: Fields, name: str) -> DecodeError:
    """The error of a record that lacks this field."""
    if name == "trade_id":
        return DecodeError(RejectCode.KEY_MISSING, "the record has no trade_id: send one in every record")
    return DecodeError(RejectCode.FIELD_MISSING, f"{record_name(fields)} has no {name}: send one in every record")


def record_name(fields: Fields) -> str:
    """How error texts name the record: by its trade_id."""
    return ascii(trim(fields.get("trade_id") or "")[:80])[1:-1] or "the record"
