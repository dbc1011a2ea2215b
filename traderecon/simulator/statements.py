"""A simulated trade: the statements of each source, when they are sent, and the faults planted in them.

All amounts are integers: prices, pnl and commission in mills (thousandths), times in milliseconds since 1970.
"""

from enum import StrEnum

import msgspec

from traderecon.records import Kind, Source
from traderecon.simulator.flaws import Flaw


class Planted(StrEnum):
    """A property planted in a trade on purpose, mostly a fault."""

    MISSING_EXECUTION = "missing execution"
    MISSING_CONFIRMATION = "missing confirmation"
    MISSING_PNL = "missing pnl"
    TICKER = "ticker"
    QUANTITY = "quantity"
    PRICE = "price"
    PRICE_TOLERATED = "price tolerated"
    DRIFT = "drift"
    DRIFT_TOLERATED = "drift tolerated"
    PNL = "pnl"
    PNL_TOLERATED = "pnl tolerated"
    PNL_REALISED = "pnl realised"
    REPEATED = "repeated"
    MALFORMED = "malformed"
    STRANGE_ID = "strange id"
    STRANGE_TICKER = "strange ticker"
    CONFLICT = "conflict"
    AMENDED = "amended"
    CANCELLED = "cancelled"
    CANCELLED_ONE_SIDE = "cancelled one side"


class Terms(msgspec.Struct, frozen=True, gc=False):
    """The content of an execution or confirmation."""

    ticker: str
    quantity: int
    price_mills: int
    at_ms: int


class Booking(msgspec.Struct, frozen=True, gc=False):
    """The content of a pnl snapshot."""

    pnl_mills: int
    commission_mills: int


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One row, sent ``delay_slots`` after the trade's execution; ``flaw``: how the row is malformed."""

    source: Source
    content: Terms | Booking
    delay_slots: int = 0
    version: int = 1
    kind: Kind = Kind.NEW
    flaw: Flaw | None = None


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade: what is sent, and what is truly wrong with it."""

    trade_id: str
    statements: tuple[Statement, ...]
    planted: tuple[Planted, ...]
