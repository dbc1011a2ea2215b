"""What the facts of a trade prove: checks, a verdict, and the result that is published."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from traderecon.records.business_time import Calendar
from traderecon.records.codes import Hint, Reason, Severity
from traderecon.records.digest import sha256
from traderecon.records.facts import Fact
from traderecon.records.legs import Leg
from traderecon.records.numbers import ZERO
from traderecon.records.sources import Source
from traderecon.records.words import Word


class State(Word):
    """The state of a trade. PENDING is never published."""

    PENDING = "PENDING"
    MATCHED = "MATCHED"
    MISMATCHED = "MISMATCHED"
    UNMATCHED = "UNMATCHED"
    CANCELLED = "CANCELLED"

    @property
    def is_break(self) -> bool:
        """Whether a person is needed."""
        return self in BREAK_STATES


BREAK_STATES = frozenset({State.MISMATCHED, State.UNMATCHED})


class Outcome(Word):
    """What one check proved."""

    PASS = "PASS"
    WITHIN_TOLERANCE = "WITHIN_TOLERANCE"
    FAIL = "FAIL"
    NOT_CHECKED = "NOT_CHECKED"


Operand = str | Decimal | int | None


class Check(msgspec.Struct, frozen=True, gc=False):
    """One comparison: the operand of each side, their difference, the tolerance.

    ``reason`` is the code of a FAIL. Amounts are decimals; the timestamp check carries UTC
    nanoseconds, its difference and tolerance nanoseconds too. ``note`` says what was computed,
    or why nothing was.
    """

    name: str
    reason: Reason
    outcome: Outcome
    execution: Operand = None
    confirmation: Operand = None
    difference: Decimal | int | None = None
    tolerance: Decimal | int | None = None
    note: str = ""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a set of facts proves at one watermark: a state, and everything that led to it.

    ``reasons`` and ``hints`` are sorted; ``reasons`` is empty when MATCHED, CANCELLED or PENDING. ``contested`` are the
    fields, with their source, that some check reads and that one version of a leg was sent with two values of.
    """

    state: State
    reasons: tuple[Reason, ...] = ()
    checks: tuple[Check, ...] = ()
    hints: tuple[Hint, ...] = ()
    contested: tuple[tuple[Source, str], ...] = ()


class Compared(msgspec.Struct, frozen=True, gc=False):
    """How far the two sides agree, in fields; ``agreed`` and ``differing`` are among those ``sent_by_both``.

    A field that both sent and no check compares (it is switched off, or a side contradicts itself) is neither.
    """

    agreed: int
    differing: int
    sent_by_both: int
    sent_by_one: int


class Stake(msgspec.Struct, frozen=True, gc=False):
    """The money that a break is about, exact and never negative; None where the legs do not say.

    ``currency``: the standard code that a leg sent.
    """

    amount: Decimal | None
    currency: str | None = None


class Remedy(msgspec.Struct, frozen=True, gc=False):
    """One change that would clear a break by itself: another tolerance of a check, or another value of one field.

    ``field`` and ``value``: a field with its source, as executions.price, and the value to send. Where ``field`` is
    None, ``value`` is the smallest absolute tolerance of ``check``, in the unit of its difference; ``above``: the bound
    is strict, so the tolerance must be larger than that.
    """

    check: str
    value: Operand
    field: tuple[Source, str] | None = None
    above: bool = False


class Escalation(NamedTuple):
    """When a break becomes more urgent, and how urgent: so many hours after it was opened; None: at the cut-off."""

    after_hours: int | None
    severity: Severity


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """What a break is about: the money at stake, how urgent it is by the rules, what would clear it.

    ``calendar``: that of the hours or the cut-off of ``escalation``; None: every hour counts.
    """

    stake: Stake
    severity: Severity
    would_clear: tuple[Remedy, ...] = ()
    escalation: Escalation | None = None
    calendar: Calendar | None = None

    @property
    def urgency(self) -> tuple[int, bool, Decimal]:
        """A sort key: most severe first, then by money at stake, an unknown amount first."""
        amount = self.stake.amount
        return self.severity.rank, amount is not None, (amount or ZERO).copy_negate()


class RulesStamp(msgspec.Struct, frozen=True, gc=False):
    """The rules in force: their name, and the sha256 of their content."""

    name: str
    sha256: str


class Transition(Word):
    """What a result does to the break of its trade."""

    OPENED = "opened"
    RECLASSIFIED = "reclassified"
    RESOLVED = "resolved"
    NONE = "none"

    @classmethod
    def between(cls, before: "tuple[str, object] | None", after: tuple[str, object]) -> "Transition":
        """What the step from one result to the next does to the break.

        A result is its state and its reasons; None if the trade has none yet.
        """
        was_break = before is not None and before[0] in BREAK_STATES
        if was_break != (after[0] in BREAK_STATES):
            return cls.RESOLVED if was_break else cls.OPENED
        return cls.RECLASSIFIED if was_break and before != after else cls.NONE


class Resolution(Word):
    """How a break was resolved without a person. Source: DOMAIN.md 7.2."""

    LATE_ARRIVAL = "LATE_ARRIVAL"
    """What was missing arrived, and agrees: a side, or a further record of a group."""
    AMENDMENT = "AMENDMENT"
    """A side was corrected."""
    CANCELLED_BOTH = "CANCELLED_BOTH"
    """The trade was cancelled."""

    @classmethod
    def of(cls, reasons: Iterable[str], state: str, *, by_further_member: bool = False) -> "Resolution":
        """How a break with these reasons was resolved by a result with this state.

        ``by_further_member``: see ``members.further_member_came_last``.
        """
        if state == State.CANCELLED:
            return cls.CANCELLED_BOTH
        return cls.LATE_ARRIVAL if by_further_member or _MISSING.issuperset(reasons) else cls.AMENDMENT


_MISSING = frozenset({Reason.MISSING_CONFIRMATION, Reason.MISSING_EXECUTION, Reason.MISSING_PNL})


class Break(msgspec.Struct, frozen=True, gc=False):
    """The break of a trade, always the same one: it opens, changes its reasons, is resolved, may open again.

    ``previous_event_id`` is the result before this one; None for a trade's first. ``resolution``: only of one that is
    resolved.
    """

    id: str
    transition: Transition
    previous_event_id: str | None = None
    resolution: Resolution | msgspec.UnsetType = msgspec.UNSET


def break_id(trade_id: str) -> str:
    """The id of a trade's break: 16 hexadecimal digits, made from the trade alone.

    >>> break_id("T1")
    '3649f607f154c8f6'
    """
    return sha256(b"break\x00" + trade_id.encode())[:16]


class LastPublished(msgspec.Struct, frozen=True, gc=False):
    """The last published result of a trade. It is stored, since it cannot be derived from the rules now in force.

    ``upto`` is the highest journal offset among its facts: all results of records up to there have been published. -1
    if unknown; then the version is the number of facts.
    """

    version: int
    state: State
    reasons: tuple[Reason, ...]
    event_id: str
    upto: int = -1

    def covers(self, upto: int, facts: int) -> bool:
        """Whether this result includes a set of ``facts`` facts of which the newest has the journal offset ``upto``."""
        return self.upto >= upto if self.upto >= 0 else self.version >= facts


class Result(msgspec.Struct, frozen=True, gc=False):
    """A verdict with its evidence, as it is published.

    ``facts`` are all facts of the trade, sorted by source, version and content; ``stands`` says of each whether it
    is effective for its source. ``event_time_ns`` is the execution's timestamp, else the
    confirmation's. ``assessment``: of a break; None in any other result. ``combined``: the legs that several facts of a
    group were added up to.
    Source: CONTRACT.md, Topics.
    """

    event_id: str
    trade_id: str
    version: int
    verdict: Verdict
    facts: tuple[Fact, ...]
    stands: tuple[bool, ...]
    break_: Break
    rules: RulesStamp
    event_time_ns: int | None
    compared: Compared
    assessment: Assessment | None = None
    combined: tuple[Leg, ...] = ()
