"""How urgent a break is: by its reasons, by the money at stake, by how long it is open.

    [[severity]]                            # the first that fits decides
    reason = "PRICE_MISMATCH"               # any of the break's reasons; left out: every break
    stake_below = "100"
    currency = "USD"
    severity = "low"

    [[severity]]
    open_hours = 24                         # from then on, if that is more urgent; or past_cut_off = true
    severity = "critical"

Without a fitting row the most urgent of the reasons decides. Source: DOMAIN.md, decisions (Stake and severity).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from traderecon.records import Escalation, Reason, Severity, Stake
from traderecon.records.business_time import Calendar
from traderecon.records.codes import GIVEN, worst_severity
from traderecon.records.currencies import currency_code

LONGEST_HOURS = 87_600


class SeverityRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table: which breaks, and how urgent they are.

    Amounts are in ``currency``, and a stake that is unknown or in another currency does not fit them.
    """

    severity: Severity
    reason: Reason | None = None
    stake_at_least: Decimal | None = None
    stake_below: Decimal | None = None
    currency: str | None = None
    open_hours: int | None = None
    past_cut_off: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def applies_later(self) -> bool:
        """Whether the row is about breaks that are still open after a time."""
        return self.open_hours is not None or bool(self.past_cut_off)

    def fits(self, reasons: Sequence[Reason], stake: Stake) -> bool:
        """Whether the row is about a break with these reasons and this stake, at any age."""
        if self.reason is not None and self.reason not in reasons:
            return False
        if self.currency is not None and stake.currency != self.currency:
            return False
        if self.stake_at_least is None and self.stake_below is None:
            return True
        amount = stake.amount
        if amount is None:
            return False
        return (self.stake_at_least is None or amount >= self.stake_at_least) and (
            self.stake_below is None or amount < self.stake_below
        )


class Urgency(NamedTuple):
    """How urgent a break is when it is opened; when it becomes more urgent, and how urgent."""

    severity: Severity
    escalation: Escalation | None


def urgency(table: Sequence[SeverityRow], reasons: tuple[Reason, ...], stake: Stake) -> Urgency:
    """By the first row that fits; of those that apply later the earliest that is more urgent.

    >>> urgency((), (Reason.PRICE_MISMATCH, Reason.TIMESTAMP_DRIFT), Stake(Decimal(7)))
    Urgency(severity=<Severity.HIGH: 'high'>, escalation=None)
    """
    severity = worst_severity(reasons) or Severity.CRITICAL  # a break has a reason
    if not table:
        return Urgency(severity, None)
    fitting = [row for row in table if row.fits(reasons, stake)]
    severity = next((row.severity for row in fitting if not row.applies_later), severity)
    later = [
        Escalation(row.open_hours, row.severity)
        for row in fitting
        if row.applies_later and row.severity.rank < severity.rank
    ]
    return Urgency(severity, min(later, key=lambda step: (step.after_hours or 0, step.severity.rank), default=None))


def problem(row: SeverityRow, calendar: Calendar | None = None) -> str | None:
    """What is wrong with a row; None if nothing is."""
    amounts = (row.stake_at_least, row.stake_below)
    if any(amount is not None and (not amount.is_finite() or amount < 0) for amount in amounts):
        return "its stake is not a number of zero or more"
    if any(amount is not None for amount in amounts) and row.currency is None:
        return "it has a stake without a currency: amounts of different currencies are not compared"
    if row.currency is not None and row.currency != (code := currency_code(row.currency)):
        return f"currency is {row.currency!r}: write {code}"
    if row.reason is not None and row.reason not in GIVEN:
        return f"no break has the reason {row.reason}"
    if row.stake_at_least is not None and row.stake_below is not None and row.stake_at_least >= row.stake_below:
        return f"no stake is at least {row.stake_at_least} and below {row.stake_below}"
    if row.past_cut_off and row.open_hours is not None:
        return "it has open_hours and past_cut_off: write one of them"
    if row.past_cut_off and (calendar is None or not isinstance(calendar.cut_off, int)):
        return "it has past_cut_off, and there is no cut-off: write cut_off under [calendar]"
    if row.open_hours is not None and row.open_hours < 1:
        return f"open_hours is {row.open_hours}: write 1 or more"
    if row.open_hours is not None and calendar is not None and row.open_hours > (most := calendar.hours_of_a_year):
        return f"open_hours is {row.open_hours}: write {most} or less, the business hours of a year"
    if row.open_hours is not None and row.open_hours > LONGEST_HOURS:
        return f"open_hours is {row.open_hours}: write {LONGEST_HOURS} or less, ten years"
    return None
