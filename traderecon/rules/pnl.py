"""PnL consistency: whether the snapshot's pnl_impact follows from the trade.

By default the founding formula, computed from the execution: price * quantity - commission, the net consideration. A
snapshot alone never opens a break, and a missing operand proves nothing unless the rules say so. Source: DOMAIN.md 4.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from typing import ClassVar, TypeVar

import msgspec

from traderecon.records import Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.records.currencies import currency_code
from traderecon.records.numbers import EXACT
from traderecon.records.words import Word
from traderecon.rules.amounts import compare
from traderecon.rules.bases import FORMULAS, Basis, Operands, expected, field_of, net_consideration
from traderecon.rules.expressions import Expression, parse
from traderecon.rules.tolerance import Tolerance

Fields = frozenset[tuple[Source, str]]
"""Fields of legs with their source."""
Side = Execution | Confirmation
T = TypeVar("T")


class OperandSource(Word):
    """Whose price or quantity the check computes with."""

    EXECUTION = "execution"
    CONFIRMATION = "confirmation"
    BOTH = "both"
    """Once with each side's: the snapshot must follow from both of them."""


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


_NET = Basis.NET_CONSIDERATION
_OF_TRADE = frozenset({"price", "quantity", "side"})
"""The operands that are no fields of the snapshot."""
_RANK = {Outcome.PASS: 0, Outcome.WITHIN_TOLERANCE: 1, Outcome.NOT_CHECKED: 2, Outcome.FAIL: 3}


class Pnl(msgspec.Struct, frozen=True, dict=True, tag_field="check", tag="pnl"):
    """pnl_impact against what its basis expects of the trade; ``expression`` is set where that is the basis."""

    tolerance: Tolerance
    basis: Basis = Basis.NET_CONSIDERATION
    price_source: OperandSource = OperandSource.EXECUTION
    quantity_source: OperandSource = OperandSource.EXECUTION
    incomplete: Incomplete = Incomplete.NOT_CHECKED
    commission_sign: CommissionSign = CommissionSign.COST_POSITIVE
    multiplier_field: Multiplier | None = None
    expression: str | msgspec.UnsetType = msgspec.UNSET
    name: ClassVar[str] = "pnl"
    reason: ClassVar[Reason] = Reason.PNL_INCONSISTENT

    @property
    def operands(self) -> Fields:
        """The fields that the check may read."""
        pairs = self._pairs(Source.EXECUTIONS, Source.CONFIRMATIONS)
        return frozenset[tuple[Source, str]]().union(*[self._fields(*pair) for pair in pairs])

    @cached_property
    def formula(self) -> Expression:
        """The expression of the basis."""
        return parse(self.expression if self.expression and self.basis is Basis.EXPRESSION else FORMULAS[self.basis])

    def leg_pairs(self, execution: Execution, confirmation: Confirmation) -> Sequence[tuple[Side, Side]]:
        """The leg whose price the check computes with, and the one whose quantity; two pairs where a source is both."""
        return self._pairs(execution, confirmation)

    def _pairs(self, ours: T, theirs: T) -> Sequence[tuple[T, T]]:
        chosen = {OperandSource.EXECUTION: ours, OperandSource.CONFIRMATION: theirs}
        sources = (self.price_source, self.quantity_source)
        each = (ours, theirs) if OperandSource.BOTH in sources else (ours,)
        return [(chosen.get(sources[0], side), chosen.get(sources[1], side)) for side in each]

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare the snapshot with the sides that the rule names."""
        if pnl is None:
            return self._no_snapshot
        if (  # the founding formula with every operand, which nearly every check is
            self._is_founding
            and pnl.currency is None
            and (impact := pnl.pnl_impact) is not None
            and (commission := pnl.commission) is not None
            and (price := execution.price) is not None
            and (quantity := execution.quantity) is not None
        ):
            amount = net_consideration(price, quantity, commission)
            return compare(self.name, self.reason, amount, impact, self.tolerance, note=_NET.value)
        if OperandSource.BOTH in (self.price_source, self.quantity_source):
            return self._worse(execution, confirmation, pnl)
        ((price_leg, quantity_leg),) = self.leg_pairs(execution, confirmation)
        return self.judge(price_leg, quantity_leg, pnl)

    def _worse(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot) -> Check:
        """The check with each side's amounts: of two that differ the one that fails or differs more."""
        checks = [self.judge(*pair, pnl) for pair in self.leg_pairs(execution, confirmation)]
        if checks[0] == checks[1]:
            return checks[0]
        sides = (OperandSource.EXECUTION, OperandSource.CONFIRMATION)
        pairs = zip(checks, sides, strict=True)
        worse, side = max(pairs, key=lambda pair: (_RANK[pair[0].outcome], pair[0].difference or 0))
        return msgspec.structs.replace(worse, note=f"{worse.note}, by the {side}")

    @cached_property
    def _no_snapshot(self) -> Check:
        return self._not_checked("no pnl snapshot")

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

    def judge(self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot) -> Check:
        """Compare a snapshot with the price of one leg and the quantity of one, which may be the same.

        Across currencies, or without an operand, nothing is proven; an operand that the snapshot
        lacks is a FAIL where ``incomplete`` is a break.
        """
        if pnl.pnl_impact is None:
            return self._incomplete("pnl_impact")
        if pnl.currency is not None and currencies_differ(price_leg, pnl):
            return self._not_checked(f"{pnl.currency} against {price_leg.currency}, no rate")
        for name in self._snapshot_operands:
            if getattr(pnl, name) is None:
                return self._incomplete(name)
        found = self.expected(price_leg, quantity_leg, pnl)
        if isinstance(found, str):
            return self._not_checked(found)
        return compare(self.name, self.reason, found, pnl.pnl_impact, self.tolerance, note=self._basis_note)

    def expected(self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot, side: str | None = None) -> Decimal | str:
        """What the basis expects of ``pnl_impact``, or which operand is absent. ``side``: in place of the leg's."""
        quantity = quantity_leg.quantity
        if self.multiplier_field is not None and "quantity" in self.formula.names:
            if quantity_leg.contract_multiplier is None:
                return f"{self.multiplier_field} is absent"
            if quantity is not None:
                quantity = EXACT.multiply(quantity, quantity_leg.contract_multiplier)
        commission = pnl.commission
        if commission is not None and self.commission_sign is CommissionSign.CASH_FLOW:
            commission = commission.copy_negate()
        return expected(
            self.formula,
            Operands(price_leg.price, quantity, side or price_leg.side, commission, pnl.open_price, pnl.mark_price),
        )

    def fits(self, price_leg: Side, quantity_leg: Side, pnl: PnlSnapshot) -> bool:
        """Whether the snapshot follows from the legs; where no side was sent, from a purchase or from a sale."""
        if pnl.pnl_impact is None or currencies_differ(price_leg, pnl):
            return False
        one_way = price_leg.side is not None or "sign" not in self.formula.names
        for side in (None,) if one_way else ("BUY", "SELL"):
            amount = self.expected(price_leg, quantity_leg, pnl, side)
            if not isinstance(amount, str):
                check = compare(self.name, self.reason, amount, pnl.pnl_impact, self.tolerance)
                if check.outcome is not Outcome.FAIL:
                    return True
        return False

    @property
    def _basis_note(self) -> str:
        return f"{self.basis}: {self.expression}" if self.expression else self.basis.value

    @cached_property
    def _snapshot_operands(self) -> tuple[str, ...]:
        """The fields of the snapshot that the formula reads."""
        return tuple([name for name in map(field_of, self.formula.names) if name not in _OF_TRADE])

    def _fields(self, price_source: Source, quantity_source: Source) -> Fields:
        names = {field_of(name) for name in self.formula.names}
        quantity_fields = {"quantity", *(() if self.multiplier_field is None else (self.multiplier_field.value,))}
        return frozenset(
            {
                *((price_source, field) for field in ("currency", *(names & {"price", "side"}))),
                *((quantity_source, field) for field in quantity_fields if "quantity" in names),
                *((Source.PNL, field) for field in ("pnl_impact", "currency", *self._snapshot_operands)),
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
