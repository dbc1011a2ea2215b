"""The checks of the attributes: what a side may send beside the terms, compared where both sides sent it.

    BUY, 1        PASS            sent by one side     NOT_CHECKED
    USD, EUR      FAIL            sent by neither      no check at all

Source: DOMAIN.md, decisions (Attributes); E07 to E11, E21.
"""

from typing import ClassVar

import msgspec

from traderecon.records import STANDARD, Check, Confirmation, Execution, Outcome, PnlSnapshot, Reason, Source
from traderecon.records.words import Word
from traderecon.rules.amounts import compare
from traderecon.rules.tolerance import NOTHING, Tolerance


class AttributeName(Word):
    """A field that a side may send beside the terms, with a text."""

    SIDE = "side"
    CURRENCY = "currency"
    ACCOUNT = "account"
    COUNTERPARTY = "counterparty"
    BROKER = "broker"
    TRADE_DATE = "trade_date"
    SETTLEMENT_DATE = "settlement_date"
    ORDER_ID = "order_id"


_REASONS = {
    AttributeName.SIDE: Reason.SIDE_MISMATCH,
    AttributeName.CURRENCY: Reason.CURRENCY_MISMATCH,
    AttributeName.ACCOUNT: Reason.ACCOUNT_MISMATCH,
    AttributeName.COUNTERPARTY: Reason.COUNTERPARTY_MISMATCH,
    AttributeName.BROKER: Reason.BROKER_MISMATCH,
    AttributeName.TRADE_DATE: Reason.TRADE_DATE_MISMATCH,
    AttributeName.SETTLEMENT_DATE: Reason.SETTLEMENT_DATE_MISMATCH,
    AttributeName.ORDER_ID: Reason.ORDER_ID_MISMATCH,
}


class Attribute(msgspec.Struct, frozen=True, tag_field="check", tag="attribute"):
    """One attribute, equal in its standard spelling; ``must_be_present``: a side that lacks it fails the check."""

    attribute: AttributeName
    must_be_present: bool = False

    @property
    def name(self) -> str:
        """The name of the field."""
        return self.attribute.value

    @property
    def reason(self) -> Reason:
        """The code of a FAIL."""
        return _REASONS[self.attribute]

    @property
    def operands(self) -> frozenset[tuple[Source, str]]:
        """The fields that the check reads."""
        return frozenset({(Source.EXECUTIONS, self.name), (Source.CONFIRMATIONS, self.name)})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Equal values pass. Without one of them nothing is proven, unless it must be present."""
        name, reason, standard = self.name, self.reason, STANDARD.get(self.name)
        ours, theirs = getattr(execution, name), getattr(confirmation, name)
        if ours is None or theirs is None:
            outcome = Outcome.FAIL if self.must_be_present else Outcome.NOT_CHECKED
            return Check(name, reason, outcome, ours, theirs, note=f"{name} is absent")
        equal = ours == theirs if standard is None else standard(ours) == standard(theirs)
        return Check(name, reason, Outcome.PASS if equal else Outcome.FAIL, ours, theirs)


class Commission(msgspec.Struct, frozen=True, tag_field="check", tag="commission"):
    """The commission of both sides, exact by value unless a tolerance is given."""

    tolerance: Tolerance = NOTHING
    must_be_present: bool = False
    name: ClassVar[str] = "commission"
    reason: ClassVar[Reason] = Reason.COMMISSION_MISMATCH
    operands: ClassVar = frozenset({(Source.EXECUTIONS, "commission"), (Source.CONFIRMATIONS, "commission")})

    def check(self, execution: Execution, confirmation: Confirmation, pnl: PnlSnapshot | None) -> Check:
        """Compare by value. Without one of them nothing is proven, unless it must be present."""
        ours, theirs = execution.commission, confirmation.commission
        if ours is None or theirs is None:
            outcome = Outcome.FAIL if self.must_be_present else Outcome.NOT_CHECKED
            return Check(self.name, self.reason, outcome, ours, theirs, note="commission is absent")
        return compare(self.name, self.reason, ours, theirs, self.tolerance)
