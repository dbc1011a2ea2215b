"""The course of a trade: what one more fact makes of it, and what time does.

    known facts, what was told, a fact             -> join   -> Turn
    known facts, what was told, a later watermark  -> expire -> Turn

Every fact that joins a decided trade gives a result, so the newest result holds every fact there is. Time gives one
result at most: it ends the waiting. What was told before is an argument, and not the verdict of today's rules on
yesterday's facts: rules may have changed in between.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from traderecon.matching.facts import Arrival, add
from traderecon.matching.results import Decided, result
from traderecon.matching.sides import Sides, sides_of
from traderecon.matching.verdict import judge
from traderecon.records import Fact, LastPublished, Result, RulesStamp, Source, State
from traderecon.records.words import Word
from traderecon.rules import Rules

_NOTHING = frozenset({Arrival.IDENTICAL, Arrival.OUTRANKED})


class Known(Protocol):
    """A fact, the identity of its leg, and the journal offset that brought it."""

    @property
    def identity(self) -> str:
        """See ``records.identity``."""
        ...

    @property
    def fact(self) -> Fact:
        """The fact."""
        ...

    @property
    def journal_offset(self) -> int:
        """Where it lies in its partition of the journal."""
        ...


class Awaited(Word):
    """What a trade waits for within its grace."""

    CONFIRMATION = "confirmation"
    EXECUTION = "execution"
    PNL = "pnl"


class TradeTransition(msgspec.Struct, frozen=True, gc=False):
    """What came of it. ``due_ns``: when the trade's grace is over, where it waits now; ``was_due_ns``: where it waited.

    ``arrival`` is None where time turned it. A fact that is IDENTICAL or OUTRANKED changed nothing: no ``after``.
    ``upto`` is the highest journal offset among the facts; ``covered``: their result has been published.
    """

    arrival: Arrival | None
    after: Decided | None = None
    told: LastPublished | None = None
    was_due_ns: int | None = None
    due_ns: int | None = None
    upto: int = -1
    covered: bool = False

    def result(self, rules: RulesStamp, above: int = 0) -> Result | None:
        """The result to publish; None while the trade waits, where nothing changed, and where it is told already.

        ``above``: see ``results.result``.
        """
        if self.after is None or self.covered or self.after.verdict.state is State.PENDING:
            return None
        return result(self.after, rules, self.told, above)


def join(
    known: Sequence[Known], told: LastPublished | None, new: Known, watermark_ns: int, rules: Rules
) -> TradeTransition:
    """A fact joins those that are known."""
    facts = tuple([each.fact for each in known])
    together, arrival = add(facts, new.fact)
    if arrival in _NOTHING:
        return TradeTransition(arrival)
    joined = [*known, new]
    if len(together) < len(joined):
        staying = {id(fact) for fact in together}
        joined = [each for each in joined if id(each.fact) in staying]
    after = _decided(together, [each.identity for each in joined], watermark_ns, rules)
    upto = max([each.journal_offset for each in known], default=-1)
    waited = bool(known) and (told is None or not told.covers(upto, len(known)))
    was_due_ns = _due_ns(facts, rules) if waited else None
    upto = max(upto, new.journal_offset)
    covered = told is not None and told.covers(upto, len(known) + 1)
    return TradeTransition(arrival, after, told, was_due_ns, None if covered else due_ns(after, rules), upto, covered)


def expire(known: Sequence[Known], told: LastPublished | None, watermark_ns: int, rules: Rules) -> TradeTransition:
    """Time has got as far as ``watermark_ns``, and the trade's grace was to be over by then; what was told stays."""
    upto = max([each.journal_offset for each in known], default=-1)
    if not known or (told is not None and told.covers(upto, len(known))):
        return TradeTransition(None)
    facts, identities = tuple([each.fact for each in known]), [each.identity for each in known]
    after = _decided(facts, identities, watermark_ns, rules)
    return TradeTransition(None, after, told, None, due_ns(after, rules), upto)


def awaited(sides: Sides) -> Awaited:
    """What a trade with at least one execution or confirmation waits for."""
    if sides.execution is None:
        return Awaited.EXECUTION
    return Awaited.CONFIRMATION if sides.confirmation is None else Awaited.PNL


def due_ns(decided: Decided, rules: Rules) -> int | None:
    """When the grace of a waiting trade is over; None where nothing waits. A snapshot alone waits for nobody."""
    sides = decided.sides
    if decided.verdict.state is not State.PENDING or (sides.execution is None and sides.confirmation is None):
        return None
    return sides.first_received_at_ns + rules.grace_ns


def _due_ns(facts: Sequence[Fact], rules: Rules) -> int | None:
    """When the grace of these facts is over, however they are judged."""
    received = [fact.origin.received_at_ns for fact in facts if fact.leg.source is not Source.PNL]
    return min(received) + rules.grace_ns if received else None


def _decided(facts: Sequence[Fact], identities: Sequence[str], watermark_ns: int, rules: Rules) -> Decided:
    sides = sides_of(facts)
    return Decided(facts, identities, sides, judge(sides, watermark_ns, rules))
