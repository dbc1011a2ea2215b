"""PnL consistency: whether the snapshot's pnl_impact follows from the trade.

The founding formula, computed from the execution: price * quantity - commission, the net consideration. A snapshot
alone never opens a break, and a missing operand proves nothing. Source: DOMAIN.md 4.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec

from traderecon.records import Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.records.currencies import currency_code
from traderecon.records.numbers import EXACT
from traderecon.rules.amounts import compare
from traderecon.rules.tolerance import Tolerance

BASIS = "net_consideration"

Fields = frozenset[tuple[Source, str]]
"""Fields of legs with their source."""


def net_consideration(price: Decimal, quantity: Decimal, commission: Decimal) -> Decimal:
    """price * quantity - commission, exact; a commission below zero is a rebate.

    >>> net_consideration(Decimal("190.5"), Decimal(100), Decimal("0.5"))
    Decimal('19049.5')
    """
    return EXACT.fma(price, quantity, commission.copy_negate())


class Pnl(msgspec.Struct, frozen=True, tag_field="check", tag="pnl"):
    """pnl_impact against the net consideration."""

    tolerance: Tolerance
    name: ClassVar[str] = "pnl"
    reason: ClassVar[Reason] = Reason.PNL_INCONSISTENT
    operands: ClassVar[Fields] = frozenset(
        {
            (Source.EXECUTIONS, "price"),
            (Source.EXECUTIONS, "quantity"),
            (Source.EXECUTIONS, "currency"),
            (Source.PNL, "pnl_impact"),
            (Source.PNL, "commission"),
            (Source.PNL, "currency"),
        }
    )

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare the snapshot with the execution."""
        return self.judge(execution, pnl)

    def contested_operands(self, leg: Execution | Confirmation, pnl: PnlSnapshot | None, contested: Fields) -> Fields:
        """The contested fields that the check reads: currencies only if leg and snapshot both have one."""
        fields = {
            (leg.source, "price"),
            (leg.source, "quantity"),
            (Source.PNL, "pnl_impact"),
            (Source.PNL, "commission"),
        }
        currencies = {(side.source, "currency"): side.currency for side in (leg, pnl) if side is not None}
        if all(currency is not None or field in contested for field, currency in currencies.items()):
            fields |= currencies.keys() if pnl is not None else set()
        return contested & fields

    def judge(self, leg: Execution | Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare a snapshot with a leg; NOT_CHECKED without a snapshot or an operand, or across currencies."""
        if pnl is None:
            return self._not_checked("no pnl snapshot")
        if pnl.pnl_impact is None:
            return self._not_checked("pnl_impact is absent")
        if pnl.commission is None:
            return self._not_checked("commission is absent")
        if pnl.currency is not None and currencies_differ(leg, pnl):
            return self._not_checked(f"{pnl.currency} against {leg.currency}, no rate")
        if leg.price is None or leg.quantity is None:
            return self._not_checked("price or quantity is absent")
        expected = net_consideration(leg.price, leg.quantity, pnl.commission)
        return compare(self.name, self.reason, expected, pnl.pnl_impact, self.tolerance, note=BASIS)

    def _not_checked(self, note: str) -> Check:
        return Check(self.name, self.reason, Outcome.NOT_CHECKED, note=note)


def currencies_differ(leg: Execution | Confirmation, pnl: PnlSnapshot) -> bool:
    """Whether both have a currency, and not the same one."""
    if pnl.currency is None or leg.currency is None:
        return False
    return currency_code(pnl.currency) != currency_code(leg.currency)
