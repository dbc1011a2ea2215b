"""PnL consistency: whether the snapshot's pnl_impact follows from the trade.

By default the founding formula, computed from the execution: price * quantity - commission, the net consideration. A
snapshot alone never opens a break, and a missing operand proves nothing unless the rules say so. Source: DOMAIN.md 4.
"""

from decimal import Decimal
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


_NET, _COST = Basis.NET_CONSIDERATION, CommissionSign.COST_POSITIVE


class Pnl(msgspec.Struct, frozen=True, tag_field="check", tag="pnl"):
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
        sides = {self._source(self.price_source), self._source(self.quantity_source)}
        return self._fields(sides, sides)

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare the snapshot with the sides that the rule names."""
        price_leg = execution if self.price_source is OperandSource.EXECUTION else confirmation
        quantity_leg = execution if self.quantity_source is OperandSource.EXECUTION else confirmation
        return self.judge(price_leg, pnl, quantity_leg)

    def contested_operands(
        self, leg: Side, pnl: PnlSnapshot | None, contested: Fields, quantity_leg: Side | None = None
    ) -> Fields:
        """The contested fields that ``judge`` reads: currencies only if leg and snapshot both have one."""
        other = leg if quantity_leg is None else quantity_leg
        fields = self._fields({leg.source}, {other.source}) - {(leg.source, "currency"), (Source.PNL, "currency")}
        currencies = {(side.source, "currency"): side.currency for side in (leg, pnl) if side is not None}
        if all(currency is not None or field in contested for field, currency in currencies.items()):
            fields |= currencies.keys() if pnl is not None else set()
        return contested & fields

    def judge(self, leg: Side, pnl: PnlSnapshot | None, quantity_leg: Side | None = None) -> Check:
        """Compare a snapshot with a leg, or with the price of one and the quantity of another.

        Without a snapshot, across currencies, or without an operand nothing is proven; a missing operand of the
        snapshot is a FAIL where the rule says that ``incomplete`` is a break.
        """
        if pnl is None:
            return self._not_checked("no pnl snapshot")
        if pnl.pnl_impact is None:
            return self._incomplete("pnl_impact is absent")
        if pnl.currency is not None and currencies_differ(leg, pnl):
            return self._not_checked(f"{pnl.currency} against {leg.currency}, no rate")
        amount: Decimal | str | None = None
        if quantity_leg is None or quantity_leg is leg:
            amount = self._founding(leg, pnl)
        if amount is None:
            amount = self.expected(leg, pnl, leg if quantity_leg is None else quantity_leg)
        if isinstance(amount, str):
            return self._incomplete(amount)
        return compare(self.name, self.reason, amount, pnl.pnl_impact, self.tolerance, note=self.basis.value)

    def expected(self, leg: Side, pnl: PnlSnapshot, quantity_leg: Side, side: str | None = None) -> Decimal | str:
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
            self.basis, Operands(leg.price, quantity, side or leg.side, commission, pnl.open_price, pnl.mark_price)
        )

    def fits(self, leg: Side, pnl: PnlSnapshot) -> bool:
        """Whether the snapshot follows from the leg; where no side was sent, from a purchase or from a sale."""
        if pnl.pnl_impact is None or currencies_differ(leg, pnl):
            return False
        for side in (leg.side,) if leg.side is not None or "side" not in operand_names(self.basis) else ("BUY", "SELL"):
            amount = self.expected(leg, pnl, leg, side)
            if not isinstance(amount, str):
                check = compare(self.name, self.reason, amount, pnl.pnl_impact, self.tolerance)
                if check.outcome is not Outcome.FAIL:
                    return True
        return False

    def _founding(self, leg: Side, pnl: PnlSnapshot) -> Decimal | None:
        """``expected`` for the founding formula with every operand, which nearly every check is; None for any other."""
        if self.basis is not _NET or self.multiplier_field is not None or self.commission_sign is not _COST:
            return None
        if leg.price is None or leg.quantity is None or pnl.commission is None:
            return None
        return net_consideration(leg.price, leg.quantity, pnl.commission)

    def _source(self, source: OperandSource) -> Source:
        return Source.EXECUTIONS if source is OperandSource.EXECUTION else Source.CONFIRMATIONS

    def _fields(self, price_sources: set[Source], quantity_sources: set[Source]) -> Fields:
        names = operand_names(self.basis)
        price_fields = {"price", "currency", *(("side",) if "side" in names else ())}
        quantity_fields = {"quantity", *(("contract_multiplier",) if self.multiplier_field is not None else ())}
        return frozenset(
            {
                *((source, field) for source in price_sources for field in price_fields),
                *((source, field) for source in quantity_sources for field in quantity_fields),
                *((Source.PNL, field) for field in ("pnl_impact", "currency", *names) if field != "side"),
            }
        )

    def _incomplete(self, note: str) -> Check:
        outcome = Outcome.FAIL if self.incomplete is Incomplete.BREAK else Outcome.NOT_CHECKED
        reason = Reason.FIELD_MISSING if self.incomplete is Incomplete.BREAK else self.reason
        return Check(self.name, reason, outcome, note=note)

    def _not_checked(self, note: str) -> Check:
        return Check(self.name, self.reason, Outcome.NOT_CHECKED, note=note)


def currencies_differ(leg: Side, pnl: PnlSnapshot) -> bool:
    """Whether both have a currency, and not the same one."""
    if pnl.currency is None or leg.currency is None:
        return False
    return currency_code(pnl.currency) != currency_code(leg.currency)
