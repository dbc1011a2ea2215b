"""The checks of the terms: ticker, quantity, price."""

from typing import ClassVar

import msgspec

from traderecon.records import Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.rules.amounts import absent, compare
from traderecon.rules.tolerance import NOTHING, Tolerance

_PASS, _FAIL = Outcome.PASS, Outcome.FAIL


class Ticker(msgspec.Struct, frozen=True, tag_field="check", tag="ticker"):
    """The instrument, character for character; it has no tolerance."""

    name: ClassVar[str] = "ticker"
    reason: ClassVar[Reason] = Reason.TICKER_MISMATCH
    operands: ClassVar = frozenset({(Source.EXECUTIONS, "ticker"), (Source.CONFIRMATIONS, "ticker")})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Equal text passes."""
        ours, theirs = execution.ticker, confirmation.ticker
        if ours is None or theirs is None:
            return absent(self.name, self.reason, ours, theirs)
        return Check(self.name, self.reason, _PASS if ours == theirs else _FAIL, ours, theirs)


class Quantity(msgspec.Struct, frozen=True, tag_field="check", tag="quantity"):
    """The quantity: exact by value unless a tolerance is given (100 = 100.0 = 1E2)."""

    tolerance: Tolerance = NOTHING
    name: ClassVar[str] = "quantity"
    reason: ClassVar[Reason] = Reason.QUANTITY_MISMATCH
    operands: ClassVar = frozenset({(Source.EXECUTIONS, "quantity"), (Source.CONFIRMATIONS, "quantity")})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare the quantities by value."""
        return compare(self.name, self.reason, execution.quantity, confirmation.quantity, self.tolerance)


class Price(msgspec.Struct, frozen=True, tag_field="check", tag="price"):
    """The price, within a tolerance; it may be negative."""

    tolerance: Tolerance
    name: ClassVar[str] = "price"
    reason: ClassVar[Reason] = Reason.PRICE_MISMATCH
    operands: ClassVar = frozenset({(Source.EXECUTIONS, "price"), (Source.CONFIRMATIONS, "price")})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare the prices by value."""
        return compare(self.name, self.reason, execution.price, confirmation.price, self.tolerance)
