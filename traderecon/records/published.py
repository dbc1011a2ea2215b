"""A published result, read back: what its trade's next version follows from, and the facts it shows.

    the record's value in ``reconciled`` or ``mismatch``  ->  Published(trade_id, last, facts)

The other direction is ``wire``: a fact read back has the identity it was published with. Source: CONTRACT.md, Topics.
"""

import re
from calendar import timegm
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from traderecon.records.codes import Hint
from traderecon.records.facts import Fact, Origin
from traderecon.records.formats import FORMAT, known, ours
from traderecon.records.instants import NS_PER_S
from traderecon.records.legs import ALL_VERSIONS, NAMES, Confirmation, Execution, Leg, PnlSnapshot
from traderecon.records.numbers import canonical
from traderecon.records.results import Told
from traderecon.records.sources import Kind, Source

_INSTANT = re.compile(r"(\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z")
_TYPES: Mapping[Source, type[Leg]] = {
    Source.EXECUTIONS: Execution,
    Source.CONFIRMATIONS: Confirmation,
    Source.PNL: PnlSnapshot,
}
_AMOUNTS = frozenset({"quantity", "price", "pnl_impact", "commission", "open_price", "mark_price"})
_ABSENT: Mapping[str, Any] = {"pnl_impact": None, "commission": None}


class Published(msgspec.Struct, frozen=True, gc=False):
    """A result as its topic has it: what was published, and the facts in it, in the order of the result."""

    trade_id: str
    last: Told
    facts: tuple[Fact, ...]


class _Leg(msgspec.Struct, gc=False):
    payload: dict[str, msgspec.Raw]
    topic: str
    partition: int
    offset: int
    received_at: str | None = None
    granularity: int = 0
    hints: tuple[Hint, ...] = ()


class _Result(Told, frozen=True, gc=False, kw_only=True):
    trade_id: str
    legs: dict[Source, list[_Leg]]
    format: int = FORMAT


_decode = msgspec.json.Decoder(_Result).decode
_text = msgspec.json.Decoder().decode


def published(value: bytes) -> Published:
    """The result in a record. OtherFormat: a newer version wrote it; MsgspecError, ValueError: it is no result."""
    try:
        read = _decode(value)
    except msgspec.MsgspecError:
        known(value)
        raise
    ours(read.format)
    last = Told(read.version, read.state, read.reasons, read.event_id)
    facts = tuple([_fact(source, leg) for source, legs in read.legs.items() for leg in legs])
    return Published(read.trade_id, last, facts)


def leg_of(source: Source, payload: Mapping[str, Any], granularity: int, hints: tuple[Hint, ...]) -> Leg:
    """The leg as a result states it: its payload (JSON, read; a producer's own fields are ignored), and what is beside.

    ValueError, ArithmeticError: what no result states.
    """
    fields = {name: payload[name] for name in NAMES[source] & payload.keys() if name != "timestamp"}
    if source is Source.PNL:
        amounts = {name: _amount(fields[name]) for name in _AMOUNTS & fields.keys()}
        return PnlSnapshot(**{**_ABSENT, **fields, **amounts}, hints=hints)
    fields["kind"] = Kind(fields.get("kind", Kind.NEW))
    if fields["kind"] is Kind.CANCEL:
        fields.setdefault("version", ALL_VERSIONS)
    fields["ticker"] = payload.get("ticker")
    for name in ("quantity", "price"):
        fields[name] = _amount(payload.get(name))
    sent = payload.get("timestamp")
    fields["timestamp_ns"] = None if sent is None else instant(sent)
    leg_type = Execution if source is Source.EXECUTIONS else Confirmation
    return leg_type(**fields, granularity=granularity, hints=hints)


def _fact(source: Source, leg: _Leg) -> Fact:
    names = NAMES[source]
    payload = {name: _text(raw) for name, raw in leg.payload.items() if name in names}
    received_at_ns = instant(leg.received_at) if leg.received_at is not None else 0
    extra = {name: value for name, value in leg.payload.items() if name not in names}
    origin = Origin(leg.topic, leg.partition, leg.offset, received_at_ns)
    return Fact(leg_of(source, payload, leg.granularity, leg.hints), origin, extra or None)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else canonical(Decimal(text))


def instant(text: str) -> int:
    """Nanoseconds since 1970 of a time as results write it.

    >>> instant("2025-07-26T10:01:23.100000001Z"), instant("2025-07-26T10:01:23Z")
    (1753524083100000001, 1753524083000000000)
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time as results write it")
    *parts, fraction = found.groups()
    return timegm(tuple(map(int, parts))) * NS_PER_S + int((fraction or "").ljust(9, "0"))
