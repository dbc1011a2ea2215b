"""A leg inside a published result, encoded and decoded; part of the JSON of ``reconciled`` and ``mismatch``.

    Fact -> LegMessage -> {"payload": {"trade_id": "T1", ...}, "topic": "executions", "partition": 0, ...} -> Fact

A fact read back has the identity it was published with. Decimals are digits, times ISO 8601 UTC.
Source: CONTRACT.md, Topics.
"""

import re
from calendar import timegm
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from traderecon.records.codes import Hint
from traderecon.records.facts import Fact, Origin
from traderecon.records.instants import NS_PER_S, iso
from traderecon.records.legs import ALL_VERSIONS, NAMES, Confirmation, Execution, Leg, PnlSnapshot, names_in
from traderecon.records.numbers import canonical, plain
from traderecon.records.sources import Kind, Source
from traderecon.records.words import one_of

HintCode = Annotated[str, one_of(Hint)]

_INSTANT = re.compile(r"(\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z")
_AMOUNTS = frozenset({"quantity", "price", "pnl_impact", "commission", "open_price", "mark_price"})
_ABSENT: Mapping[str, Any] = {"pnl_impact": None, "commission": None}


class TermsPayload(msgspec.Struct, gc=False, omit_defaults=True):
    """An execution or a confirmation in the field names of its topic; a field that was not sent is left out."""

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
    commission: str | None = None
    trade_date: str | None = None
    settlement_date: str | None = None
    contract_multiplier: str | None = None
    member_id: str | None = None
    sent_id: str | None = None


class SnapshotPayload(msgspec.Struct, gc=False, omit_defaults=True):
    """A PnL snapshot in the field names of its topic."""

    trade_id: str
    pnl_impact: str | None = None
    commission: str | None = None
    open_price: str | None = None
    mark_price: str | None = None
    version: int = -1  # always encoded: no version equals the default
    currency: str | None = None
    member_id: str | None = None
    sent_id: str | None = None


WrittenPayload = TermsPayload | SnapshotPayload | msgspec.Raw
ReadPayload = dict[str, msgspec.Raw]
"""Every field by its name, including the producer's unknown ones."""
Payload = TypeVar("Payload")


class LegMessage(msgspec.Struct, Generic[Payload], gc=False, omit_defaults=True):
    """A leg, the coordinates of its record, and whether it is effective for its source (``stands``).

    ``granularity`` (fraction digits of its time) and ``hints`` complete its identity. ``sent_key``: see ``Origin``.
    """

    payload: Payload
    topic: str
    partition: int
    offset: int
    received_at: str | None
    stands: bool
    granularity: int = 0
    hints: tuple[HintCode, ...] = ()
    sent_key: str | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.json.Encoder().encode
_decode_value = msgspec.json.Decoder().decode


def to_message(fact: Fact, *, stands: bool, extras: bool) -> LegMessage[WrittenPayload]:
    """The fact as a result shows it; without ``extras`` the unknown fields are left out."""
    leg, origin = fact.leg, fact.origin
    payload: WrittenPayload = _snapshot_payload(leg) if isinstance(leg, PnlSnapshot) else _terms_payload(leg)
    if extras and fact.extra:
        # The unknown fields follow the known ones. A name that an earlier version did not know is unread, not both.
        known = NAMES[leg.source]
        unknown = {f"unread_{name}" if name in known else name: raw for name, raw in fact.extra.items()}
        payload = msgspec.Raw(_encode(payload)[:-1] + b"," + _encode(unknown)[1:])
    return LegMessage(
        payload,
        origin.topic,
        origin.partition,
        origin.offset,
        iso(origin.received_at_ns) if origin.received_at_ns else None,
        stands,
        0 if isinstance(leg, PnlSnapshot) else leg.granularity,
        leg.hints,
        origin.sent_key,
    )


def to_fact(source: Source, message: LegMessage[ReadPayload], record_format: int) -> Fact:
    """The fact in a message of a result of this format. ValueError, ArithmeticError: not a leg of a result."""
    names = names_in(source, record_format)
    payload = {name: _decode_value(raw) for name, raw in message.payload.items() if name in names}
    received_at_ns = instant(message.received_at) if message.received_at is not None else 0
    extra = {name: raw for name, raw in message.payload.items() if name not in names}
    origin = Origin(message.topic, message.partition, message.offset, received_at_ns, message.sent_key)
    hints = tuple([Hint(code) for code in message.hints])
    return Fact(to_leg(source, payload, message.granularity, hints, record_format), origin, extra or None)


def to_leg(
    source: Source, payload: Mapping[str, Any], granularity: int, hints: tuple[Hint, ...], record_format: int
) -> Leg:
    """The leg of a payload with decoded values; a producer's own fields are ignored.

    ``record_format``: of the result that has the payload. ValueError, ArithmeticError: not a leg of a result.
    """
    fields = {name: payload[name] for name in names_in(source, record_format) & payload.keys() if name != "timestamp"}
    if source is Source.PNL:
        amounts = {name: _amount(fields[name]) for name in _AMOUNTS & fields.keys()}
        return PnlSnapshot(**{**_ABSENT, **fields, **amounts}, hints=hints)
    fields["kind"] = Kind(fields.get("kind", Kind.NEW))
    if fields["kind"] is Kind.CANCEL:
        fields.setdefault("version", ALL_VERSIONS)
    fields["ticker"] = payload.get("ticker")
    for name in ("quantity", "price"):
        fields[name] = _amount(payload.get(name))
    for name in ("commission", "contract_multiplier"):
        if name in fields:
            fields[name] = _amount(fields[name])
    timestamp = payload.get("timestamp")
    fields["timestamp_ns"] = None if timestamp is None else instant(timestamp)
    leg_type = Execution if source is Source.EXECUTIONS else Confirmation
    return leg_type(**fields, granularity=granularity, hints=hints)


def instant(text: str) -> int:
    """A time in the format of results as nanoseconds since 1970.

    >>> instant("2025-07-26T10:01:23.100000001Z"), instant("2025-07-26T10:01:23Z")
    (1753524083100000001, 1753524083000000000)
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time as results write it")
    *parts, fraction = match.groups()
    return timegm(tuple(map(int, parts))) * NS_PER_S + int((fraction or "").ljust(9, "0"))


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else canonical(Decimal(text))


def _terms_payload(leg: Execution | Confirmation) -> TermsPayload:
    return TermsPayload(
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
        None if leg.commission is None else plain(leg.commission),
        leg.trade_date,
        leg.settlement_date,
        None if leg.contract_multiplier is None else plain(leg.contract_multiplier),
        leg.member_id,
        leg.sent_id,
    )


def _snapshot_payload(leg: PnlSnapshot) -> SnapshotPayload:
    return SnapshotPayload(
        leg.trade_id,
        None if leg.pnl_impact is None else plain(leg.pnl_impact),
        None if leg.commission is None else plain(leg.commission),
        None if leg.open_price is None else plain(leg.open_price),
        None if leg.mark_price is None else plain(leg.mark_price),
        leg.version,
        leg.currency,
        leg.member_id,
        leg.sent_id,
    )
