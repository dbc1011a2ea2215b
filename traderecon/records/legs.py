"""A leg: one source's record of one trade, in exactly the detail a verdict can depend on.

A leg's content is its identity. Whatever a rule, a hint or a conflict may depend on is a field here; the rest (a
producer's other fields, spelling, arrival) belongs to the fact.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec

from traderecon.records.codes import Hint
from traderecon.records.sources import Kind, Source

ALL_VERSIONS = 2**63 - 1
"""The version of a cancel that was sent without one: it wins over every version of its side. It cannot be sent."""


class _Terms(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="source"):
    """The terms of a trade as one side states them.

    ``quantity`` and ``price`` are canonical decimals, ``timestamp_ns`` is UTC nanoseconds,
    ``granularity`` the fraction digits sent (0 to 9), ``hints`` those of decoding.
    A term is None only in a cancel, which needs none, and in an effective leg with contested fields.
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
    hints: tuple[Hint, ...] = ()


class Execution(_Terms, frozen=True, gc=False, tag=Source.EXECUTIONS.value):
    """The firm's own record of a trade."""

    source: ClassVar[Source] = Source.EXECUTIONS


class Confirmation(_Terms, frozen=True, gc=False, tag=Source.CONFIRMATIONS.value):
    """The broker's statement of a trade."""

    source: ClassVar[Source] = Source.CONFIRMATIONS


class PnlSnapshot(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="source", tag=Source.PNL.value):
    """What accounting booked for a trade; an operand that is absent is None, never zero."""

    trade_id: str
    pnl_impact: Decimal | None
    commission: Decimal | None
    version: int = 1
    currency: str | None = None
    open_price: Decimal | None = None
    mark_price: Decimal | None = None
    hints: tuple[Hint, ...] = ()
    source: ClassVar[Source] = Source.PNL
    kind: ClassVar[Kind] = Kind.NEW


Leg = Execution | Confirmation | PnlSnapshot

CONTENT = {
    leg_type.source: tuple(
        field
        for field in leg_type.__struct_fields__
        if field not in {"trade_id", "version", "kind", "hints", "granularity"}
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


def is_bare(leg: Leg) -> bool:
    """Whether it is a cancel that lacks a term or a version: versions before format 2 cannot read it."""
    return (
        (not isinstance(leg, PnlSnapshot))
        and leg.kind is Kind.CANCEL
        and (leg.version == ALL_VERSIONS or None in (leg.ticker, leg.quantity, leg.price, leg.timestamp_ns))
    )
