"""The course of a trade: what one more fact makes of it, and what time does.

    known facts + a fact  -> join   -> Turn       known facts + a later watermark -> expire -> Turn

Every fact that joins a decided trade gives a result, so the newest result holds every fact there is, and the result
before it is the one over the set without that fact. Time gives one result at most: it ends the waiting.
"""

from collections.abc import Sequence
from typing import NamedTuple

from traderecon.matching.facts import Arrival, add
from traderecon.matching.results import Decided, result
from traderecon.matching.sides import Sides, sides_of
from traderecon.matching.verdict import judge
from traderecon.records import Fact, Result, RulesStamp, Source, State
from traderecon.records.words import Word
from traderecon.rules import Rules

_UNREFUSED = frozenset(Arrival) - {Arrival.IDENTICAL, Arrival.TOO_MANY}


class Known(NamedTuple):
    """A fact, and the identity of its leg."""

    identity: str
    fact: Fact


class Awaited(Word):
    """What a trade waits for within its grace."""

    CONFIRMATION = "confirmation"
    EXECUTION = "execution"
    PNL = "pnl"


class Turn(NamedTuple):
    """What came of it. ``due_ns``: when the trade's grace is over, while it waits; ``was_due_ns``: the same, before.

    ``arrival`` is None where time turned it. A fact that is IDENTICAL or TOO_MANY changed nothing: no ``after``.
    """

    arrival: Arrival | None
    before: Decided | None = None
    after: Decided | None = None
    was_due_ns: int | None = None
    due_ns: int | None = None

    def result(self, rules: RulesStamp) -> Result | None:
        """The result to publish; None while the trade waits, or where nothing changed."""
        if self.after is None or self.after.verdict.state is State.PENDING:
            return None
        return result(self.after, rules, self.before)


def join(known: Sequence[Known], new: Known, watermark_ns: int, rules: Rules) -> Turn:
    """A fact joins those that are known."""
    facts = tuple([each.fact for each in known])
    together, arrival = add(facts, new.fact)
    if arrival not in _UNREFUSED:
        return Turn(arrival)
    identities = [each.identity for each in known]
    before = _decided(facts, identities, watermark_ns, rules) if known else None
    after = _decided(together, [*identities, new.identity], watermark_ns, rules)
    return Turn(arrival, before, after, due_ns(before, rules), due_ns(after, rules))


def expire(known: Sequence[Known], was_ns: int, watermark_ns: int, rules: Rules) -> Turn:
    """Time passes from ``was_ns`` to ``watermark_ns``; what was decided before stays so."""
    facts, identities = tuple([each.fact for each in known]), [each.identity for each in known]
    sides = sides_of(facts)
    before = Decided(facts, identities, sides, judge(sides, was_ns, rules))
    if before.verdict.state is not State.PENDING:
        return Turn(None)
    return Turn(None, before, Decided(facts, identities, sides, judge(sides, watermark_ns, rules)))


def awaited(sides: Sides) -> Awaited:
    """What a trade with at least one execution or confirmation waits for."""
    if sides.execution is None:
        return Awaited.EXECUTION
    return Awaited.CONFIRMATION if sides.confirmation is None else Awaited.PNL


def due_ns(decided: Decided | None, rules: Rules) -> int | None:
    """When the grace of a waiting trade is over; None where nothing waits. A snapshot alone waits for nobody."""
    if decided is None or decided.verdict.state is not State.PENDING:
        return None
    if all(fact.leg.source is Source.PNL for fact in decided.facts):
        return None
    return decided.sides.first_received_at_ns + rules.grace_ns


def _decided(facts: Sequence[Fact], identities: Sequence[str], watermark_ns: int, rules: Rules) -> Decided:
    sides = sides_of(facts)
    return Decided(facts, identities, sides, judge(sides, watermark_ns, rules))
