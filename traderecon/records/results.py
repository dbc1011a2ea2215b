"""What the facts of a trade prove: checks, a verdict, and the result that tells others."""

from decimal import Decimal

import msgspec

from traderecon.records.codes import Hint, Reason
from traderecon.records.facts import Fact
from traderecon.records.sources import Source
from traderecon.records.words import Word


class State(Word):
    """Where a trade stands. PENDING is never published."""

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
    """One comparison: what each side said, how far apart, how far was allowed.

    ``reason`` is the code a FAIL raises. Amounts are decimals; the timestamp check carries UTC
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
    fields, each by its source, that a check reads and one version was sent with two values of.
    """

    state: State
    reasons: tuple[Reason, ...] = ()
    checks: tuple[Check, ...] = ()
    hints: tuple[Hint, ...] = ()
    contested: tuple[tuple[Source, str], ...] = ()


class RulesStamp(msgspec.Struct, frozen=True, gc=False):
    """Which rules spoke: their name, and the sha256 of what they say."""

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

        Each is its state and its reasons; None: the trade has no result yet.
        """
        was_break = before is not None and before[0] in BREAK_STATES
        if was_break != (after[0] in BREAK_STATES):
            return cls.RESOLVED if was_break else cls.OPENED
        return cls.RECLASSIFIED if was_break and before != after else cls.NONE


class Break(msgspec.Struct, frozen=True, gc=False):
    """The break of a trade, one for life: it opens, changes its reasons, is resolved, and may open again.

    ``previous_event_id`` is the result before this one; None for a trade's first.
    """

    id: str
    transition: Transition
    previous_event_id: str | None = None


class LastPublished(msgspec.Struct, frozen=True, gc=False):
    """What was published of a trade last. It is kept: neither rules of today nor a watermark say what it was.

    ``upto`` is the highest journal offset among its facts: whatever came of a record up to there has been published.
    -1 where that is not known; then the version says how many facts the result is of.
    """

    version: int
    state: State
    reasons: tuple[Reason, ...]
    event_id: str
    upto: int = -1

    def covers(self, upto: int, facts: int) -> bool:
        """Whether a set of so many facts, the newest of them from this journal offset, is in what was published."""
        return self.upto >= upto if self.upto >= 0 else self.version >= facts


class Result(msgspec.Struct, frozen=True, gc=False):
    """A verdict with its evidence, as others see it.

    ``facts`` are all facts of the trade, sorted by source, version and content; ``stands`` says of each whether it is
    of the version and kind that counts for its source. ``event_time_ns`` is the execution's timestamp, else the
    confirmation's.
    Source: CONTRACT.md, Topics.
    """

    event_id: str
    trade_id: str
    version: int
    verdict: Verdict
    facts: tuple[Fact, ...]
    stands: tuple[bool, ...]
    broken: Break
    rules: RulesStamp
    event_time_ns: int | None
