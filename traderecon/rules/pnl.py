"""PnL consistency: whether the snapshot's pnl_impact follows from the trade.

By default the founding formula, computed from the execution: price * quantity - commission, the net consideration. A
snapshot alone never opens a break, and a missing operand proves nothing unless the rules say so. Source: DOMAIN.md 4.
"""

from decimal import Decimal
from functools import cached_property
from typing import ClassVar

import msgspec

from traderecon.records import Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.records.currencies import currency_code
from traderecon.records.numbers import EXACT
from traderecon.records.words import Word
from traderecon.rules.amounts import compare
from traderecon.rules.bases import Basis, Operands, expected, net_consideration, operand_names
from traderecon.rules.tolerance import Tolerance

Fields = frozenset[tuple[Source, str]]
"""Fields of legs with their source."""
Side = Execution | Confirmation


class OperandSource(Word):
    """Whose price or quantity the check computes with."""

    EXECUTION = "execution"
    CONFIRMATION = "confirmation"


class Incomplete(Word):
    """What a snapshot means that lacks an operand."""

    NOT_CHECKED = "not_checked"
    BREAK = "break"


class CommissionSign(Word):
    """Whether a commission that was paid is a positive amount, or a negative one as in a cash ledger."""

    COST_POSITIVE = "cost_positive"
    CASH_FLOW = "cash_flow"


class Multiplier(Word):
    """The field of a side that multiplies its quantity."""

    CONTRACT_MULTIPLIER = "contract_multiplier"


_SOURCES = {
    OperandSource.EXECUTION: Source.EXECUTIONS,
    OperandSource.CONFIRMATION: Source.CONFIRMATIONS,
}
_NET = Basis.NET_CONSIDERATION


class Pnl(msgspec.Struct, frozen=True, dict=True, tag_field="check", tag="pnl"):
    """pnl_impact against what its basis expects of the trade."""

    tolerance: Tolerance
    basis: Basis = Basis.NET_CONSIDERATION
    price_source: OperandSource = OperandSource.EXECUTION
    quantity_source: OperandSource = OperandSource.EXECUTION
    incomplete: Incomplete = Incomplete.NOT_CHECKED
    commission_sign: CommissionSign = CommissionSign.COST_POSITIVE
    multiplier_field: Multiplier | None = None
    name: ClassVar[str] = "pnl"
    reason: ClassVar[Reason] = Reason.PNL_INCONSISTENT

    @property
    def operands(self) -> Fields:
        """The fields that the check may read."""
        return self._fields(_SOURCES[self.price_source], _SOURCES[self.quantity_source])

    def legs(self, execution: Execution, confirmation: Confirmation) -> tuple[Side, Side]:
        """The leg whose price the check computes with, and the one whose quantity."""
        return (
            execution if self.price_source is OperandSource.EXECUTION else confirmation,
            execution if self.quantity_source is OperandSource.EXECUTION else confirmation,
        )

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare the snapshot with the sides that the rule names."""
        if (  # the founding formula with every operand, which nearly every check is
            self._is_founding
            and pnl is not None
            and pnl.currency is None
            and (impact := pnl.pnl_impact) is not None
            and (commission := pnl.commission) is not None
            and (price := execution.price) is not None
            and (quantity := execution.quantity) is not None
        ):
            amount = net_consideration(price, quantity, commission)
            return compare(self.name, self.reason, amount, impact, self.tolerance, note=_NET.value)
        return self.judge(*self.legs(execution, confirmation), pnl)

    @cached_property
    def _is_founding(self) -> bool:
        """Whether only the tolerance may differ from the founding rule."""
        return self == Pnl(tolerance=self.tolerance)

    def contested_operands(
        self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot | None, contested: Fields
    ) -> Fields:
        """The contested fields that ``judge`` reads: currencies only if leg and snapshot both have one."""
        currencies = {(leg.source, "currency"): leg.currency for leg in (price_leg, pnl) if leg is not None}
        fields = self._fields(price_leg.source, quantity_leg.source)
        if pnl is None or any(currency is None and field not in contested for field, currency in currencies.items()):
            fields -= {(price_leg.source, "currency"), (Source.PNL, "currency")}
        return contested & fields

    def judge(self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot | None) -> Check:
        """Compare a snapshot with the price of one leg and the quantity of one, which may be the same.

        Without a snapshot, across currencies, or without an operand nothing is proven; an operand that the snapshot
        lacks is a FAIL where ``incomplete`` is a break.
        """
        if pnl is None:
            return self._not_checked("no pnl snapshot")
        if pnl.pnl_impact is None:
            return self._incomplete("pnl_impact")
        if pnl.currency is not None and currencies_differ(price_leg, pnl):
            return self._not_checked(f"{pnl.currency} against {price_leg.currency}, no rate")
        for name in operand_names(self.basis):
            if name != "side" and getattr(pnl, name) is None:
                return self._incomplete(name)
        found = self.expected(price_leg, quantity_leg, pnl)
        if isinstance(found, str):
            return self._not_checked(found)
        return compare(self.name, self.reason, found, pnl.pnl_impact, self.tolerance, note=self.basis.value)

    def expected(self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot, side: str | None = None) -> Decimal | str:
        """What the basis expects of ``pnl_impact``, or which operand is absent. ``side``: in place of the leg's."""
        quantity = quantity_leg.quantity
        if self.multiplier_field is not None:
            if quantity_leg.contract_multiplier is None:
                return f"{self.multiplier_field} is absent"
            if quantity is not None:
                quantity = EXACT.multiply(quantity, quantity_leg.contract_multiplier)
        commission = pnl.commission
        if commission is not None and self.commission_sign is CommissionSign.CASH_FLOW:
            commission = commission.copy_negate()
        return expected(
            self.basis,
            Operands(price_leg.price, quantity, side or price_leg.side, commission, pnl.open_price, pnl.mark_price),
        )

    def fits(self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot) -> bool:
        """Whether the snapshot follows from the legs; where no side was sent, from a purchase or from a sale."""
        if pnl.pnl_impact is None or currencies_differ(price_leg, pnl):
            return False
        one_way = price_leg.side is not None or "side" not in operand_names(self.basis)
        for side in (None,) if one_way else ("BUY", "SELL"):
            amount = self.expected(price_leg, quantity_leg, pnl, side)
            if not isinstance(amount, str):
                check = compare(self.name, self.reason, amount, pnl.pnl_impact, self.tolerance)
                if check.outcome is not Outcome.FAIL:
                    return True
        return False

    def _fields(self, price_source: Source, quantity_source: Source) -> Fields:
        names = operand_names(self.basis)
        price_fields = ("price", "currency", *(name for name in names if name == "side"))
        quantity_fields = ("quantity", *(() if self.multiplier_field is None else (self.multiplier_field.value,)))
        return frozenset(
            {
                *((price_source, field) for field in price_fields),
                *((quantity_source, field) for field in quantity_fields),
                *((Source.PNL, field) for field in ("pnl_impact", "currency", *names) if field != "side"),
            }
        )

    def _incomplete(self, operand: str) -> Check:
        note = f"{operand} is absent"
        if self.incomplete is Incomplete.NOT_CHECKED:
            return self._not_checked(note)
        return Check(self.name, Reason.FIELD_MISSING, Outcome.FAIL, note=note)

    def _not_checked(self, note: str) -> Check:
        return Check(self.name, self.reason, Outcome.NOT_CHECKED, note=note)


def currencies_differ(leg: Side, pnl: PnlSnapshot) -> bool:
    """Whether both have a currency, and not the same one."""
    if pnl.currency is None or leg.currency is None:
        return False
    return currency_code(pnl.currency) != currency_code(leg.currency)
