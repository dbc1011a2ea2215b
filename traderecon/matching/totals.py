"""Control totals: what both sides say they traded, per broker and currency, and where the difference lies.

    executions - confirmations  =  breaks + tolerated + not compared      exact, to the last digit

Amounts are signed price * quantity, of a group the sum over its members, never summed across currencies and without
a contract multiplier. The money at stake is another figure: it has no sign and ties to nothing.
Source: DOMAIN.md, decisions (Stake and severity).
"""

from decimal import Decimal
from typing import NamedTuple, Self

import msgspec

from traderecon.matching.sides import Sides
from traderecon.records import Assessment, Confirmation, Execution, Kind, Outcome, State, Verdict
from traderecon.records.currencies import currency_code
from traderecon.records.numbers import EXACT, ZERO

_add, _subtract = EXACT.add, EXACT.subtract


class Account(NamedTuple):
    """Whose totals: the broker and the currency that a leg names; empty if it names none."""

    broker: str
    currency: str


class Totals(msgspec.Struct):
    """The sums of one account, in its currency.

    ``executions``, ``confirmations``: price * quantity of the effective legs that are not cancelled. ``breaks``,
    ``tolerated``, ``not_compared``: the part of their difference in trades that break, that agree within a tolerance,
    and whose amounts no check compared. ``unknown``: legs without one price and one quantity; they are in no sum.
    ``at_stake``: see ``assess.stake_of``; a break counts in the currency of its stake, and for the broker of its
    execution, else of its confirmation.
    """

    executions: Decimal = ZERO
    confirmations: Decimal = ZERO
    breaks: Decimal = ZERO
    tolerated: Decimal = ZERO
    not_compared: Decimal = ZERO
    at_stake: Decimal = ZERO
    unknown: int = 0

    def merge(self, other: Self) -> None:
        """Add the sums of another part."""
        for name in self.__struct_fields__:
            ours, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, ours + theirs if name == "unknown" else _add(ours, theirs))


AllTotals = dict[Account, Totals]


def add_trade(totals: AllTotals, sides: Sides, verdict: Verdict, assessment: Assessment | None) -> None:
    """Add a trade with at least one leg that claims it."""
    kind = _kind_of(verdict)
    for leg in (sides.execution, sides.confirmation):
        if leg is None or leg.kind is Kind.CANCEL:
            continue
        account = totals.setdefault(_account(leg), Totals())
        amount = sides.amount(leg)
        if amount is None:
            account.unknown += 1
            continue
        if isinstance(leg, Execution):
            account.executions = _add(account.executions, amount)
            setattr(account, kind, _add(getattr(account, kind), amount))
        else:
            account.confirmations = _add(account.confirmations, amount)
            setattr(account, kind, _subtract(getattr(account, kind), amount))
    if assessment is not None and assessment.stake.amount is not None:
        account = totals.setdefault(_account_of(sides, assessment), Totals())
        account.at_stake = _add(account.at_stake, assessment.stake.amount)


def merge(totals: AllTotals, others: AllTotals) -> None:
    """Add the totals of another part to ``totals``."""
    for account, other in others.items():
        totals.setdefault(account, Totals()).merge(other)


def _kind_of(verdict: Verdict) -> str:
    """The sum that the trade's difference goes to."""
    if verdict.state.is_break:
        return "breaks"
    outcomes = {check.name: check.outcome for check in verdict.checks}
    compared = all(outcomes.get(name, Outcome.NOT_CHECKED) is not Outcome.NOT_CHECKED for name in ("price", "quantity"))
    return "tolerated" if verdict.state is State.MATCHED and compared else "not_compared"


def _account_of(sides: Sides, assessment: Assessment) -> Account:
    """The account that a break counts in."""
    legs = [leg for leg in (sides.execution, sides.confirmation) if leg is not None]
    active = [leg for leg in legs if leg.kind is not Kind.CANCEL] or legs
    return Account(active[0].broker or "", assessment.stake.currency or "")


def _account(leg: Execution | Confirmation) -> Account:
    return Account(leg.broker or "", currency_code(leg.currency) if leg.currency is not None else "")
