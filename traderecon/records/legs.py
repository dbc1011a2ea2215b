"""A leg: what one source says of one trade, in exactly the detail a verdict can see.

A leg's content is its identity. Whatever a rule, a hint or a conflict may look at is a field here;
whatever is not (a producer's other fields, spelling, arrival) stays with the fact.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec

from traderecon.records.codes import Hint
from traderecon.records.sources import Kind, Source


class _Terms(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="source"):
    """The terms of a trade as one side states them.

    ``quantity`` and ``price`` are canonical decimals, ``timestamp_ns`` is UTC nanoseconds,
    ``granularity`` the fraction digits the sender gave (0 to 9), ``hints`` what decoding noticed.
    """

    trade_id: str
    ticker: str
    quantity: Decimal
    price: Decimal
    timestamp_ns: int
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
    """Our own record of a trade."""

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

NO_VALUE = frozenset({"version", "kind", "hints", "granularity"})
"""Fields that say how a leg was sent; two legs that differ only there do not contradict each other."""
