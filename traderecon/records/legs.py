"""A leg: one source's record of one trade, in exactly the detail a verdict can depend on.

A leg's content is its identity. Whatever a rule, a hint or a conflict may depend on is a field here; the rest (a
producer's other fields, spelling, arrival) belongs to the fact.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import ClassVar

import msgspec

from traderecon.records.codes import Hint
from traderecon.records.currencies import currency_code
from traderecon.records.directions import direction
from traderecon.records.formats import BARE_CANCELS, FORMAT, IN_GROUP, WITH_ATTRIBUTES, WITH_MATCH_KEY
from traderecon.records.sources import Kind, Source

ALL_VERSIONS = 2**63 - 1
"""The version of a cancel that was sent without one: it wins over every version of its side. It cannot be sent."""


class _Terms(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="source"):
    """The terms of a trade as one side states them.

    ``quantity`` and ``price`` are canonical decimals, ``timestamp_ns`` is UTC nanoseconds,
    ``granularity`` the fraction digits sent (0 to 9), ``hints`` those of decoding. Dates are ISO 8601 (2025-07-26).
    A term is None only in a cancel, which needs none, in an effective leg with contested fields, and where a source's
    settings let a record lack it, because no check reads it. ``member_id``: where rules group legs, ``trade_id`` is the
    group's id, and this is the trade_id that was sent. ``sent_id``: the same where a match key refines trade_ids; see
    ``match_keys``.
    """

    trade_id: str
    ticker: str | None
    quantity: Decimal | None
    price: Decimal | None
    timestamp_ns: int | None
    granularity: int
    version: int = 1
    kind: Kind = Kind.NEW
    side: str | None = None
    currency: str | None = None
    account: str | None = None
    broker: str | None = None
    counterparty: str | None = None
    order_id: str | None = None
    commission: Decimal | None = None
    trade_date: str | None = None
    settlement_date: str | None = None
    contract_multiplier: Decimal | None = None
    hints: tuple[Hint, ...] = ()
    member_id: str | None = None
    sent_id: str | None = None


class Execution(_Terms, frozen=True, gc=False, tag=Source.EXECUTIONS.value):
    """The firm's own record of a trade."""

    source: ClassVar[Source] = Source.EXECUTIONS


class Confirmation(_Terms, frozen=True, gc=False, tag=Source.CONFIRMATIONS.value):
    """The broker's statement of a trade."""

    source: ClassVar[Source] = Source.CONFIRMATIONS


class PnlSnapshot(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="source", tag=Source.PNL.value):
    """What accounting booked for a trade; an operand that is absent is None, never zero.

    ``member_id``, ``sent_id``: as in terms.
    """

    trade_id: str
    pnl_impact: Decimal | None
    commission: Decimal | None
    version: int = 1
    currency: str | None = None
    open_price: Decimal | None = None
    mark_price: Decimal | None = None
    hints: tuple[Hint, ...] = ()
    member_id: str | None = None
    sent_id: str | None = None
    source: ClassVar[Source] = Source.PNL
    kind: ClassVar[Kind] = Kind.NEW


Leg = Execution | Confirmation | PnlSnapshot

ATTRIBUTES = (
    *("side", "currency", "account", "counterparty", "broker", "commission", "trade_date", "settlement_date"),
    "order_id",
)
"""What a side may send beside the terms, in the order it is shown."""

STANDARD: Mapping[str, Callable[[str], str]] = {"currency": currency_code, "side": direction}
"""The fields with several spellings for one value, and what gives the standard one."""

CONTENT = {
    leg_type.source: tuple(
        field
        for field in leg_type.__struct_fields__
        if field not in {"trade_id", "member_id", "sent_id", "version", "kind", "hints", "granularity"}
    )
    for leg_type in (Execution, Confirmation, PnlSnapshot)
}
"""Per source, the fields in which two legs of one version may contradict each other."""

NAMES = {
    leg_type.source: frozenset(
        "timestamp" if field == "timestamp_ns" else field
        for field in leg_type.__struct_fields__
        if field not in {"hints", "granularity"}
    )
    for leg_type in (Execution, Confirmation, PnlSnapshot)
}
"""Per source, the known fields of a payload; any other is the sender's own, even if another source has that name."""


def has_attributes(leg: Execution | Confirmation) -> bool:
    """Whether the leg has an attribute or a multiplier.

    Written out because it is asked of every leg, and nearly all have none.
    """
    return (
        leg.side is not None
        or leg.currency is not None
        or leg.account is not None
        or leg.counterparty is not None
        or leg.broker is not None
        or leg.trade_date is not None
        or leg.settlement_date is not None
        or leg.order_id is not None
        or leg.commission is not None
        or leg.contract_multiplier is not None
    )


_SINCE_FORMAT_5 = frozenset({"sent_id"})
_SINCE_FORMAT_4 = frozenset({"member_id"})
_SINCE_FORMAT_3 = frozenset({"commission", "trade_date", "settlement_date", "contract_multiplier"})


def names_in(source: Source, record_format: int) -> frozenset[str]:
    """The known fields of a payload in a record of this format.

    Before ``WITH_ATTRIBUTES`` a commission or a date of a side was a field of the sender's own, before ``IN_GROUP`` a
    member_id, before ``WITH_MATCH_KEY`` a sent_id.
    """
    names = NAMES[source]
    if record_format < WITH_MATCH_KEY:
        names -= _SINCE_FORMAT_5
    if record_format < IN_GROUP:
        names -= _SINCE_FORMAT_4
    return names - _SINCE_FORMAT_3 if record_format < WITH_ATTRIBUTES and source is not Source.PNL else names


def leg_format(leg: Leg) -> int:
    """The lowest format number of a record with this leg: older versions cannot read it."""
    if leg.sent_id is not None:
        return WITH_MATCH_KEY
    if leg.member_id is not None:
        return IN_GROUP
    if isinstance(leg, PnlSnapshot):
        return FORMAT
    if (
        leg.commission is not None
        or leg.trade_date is not None
        or leg.settlement_date is not None
        or leg.contract_multiplier is not None
    ):
        return WITH_ATTRIBUTES
    if leg.ticker is None or leg.quantity is None or leg.price is None or leg.timestamp_ns is None:
        return BARE_CANCELS
    return BARE_CANCELS if leg.version == ALL_VERSIONS else FORMAT
