"""The lifecycle of a trade: one step for each new fact, and one when its grace expires.

    existing facts, last published result, a fact             -> join   -> TradeStep
    existing facts, last published result, a later watermark  -> expire -> TradeStep

Every fact that joins a decided trade gives a result, so the newest result holds every fact: at once, or, where the
trade waits again (one side was reinstated, a group got a further member), when that grace expires. The last published
result is an argument and never recomputed, since the rules may have changed since.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from traderecon.matching.arrival_hints import arrival_hints
from traderecon.matching.assess import assess
from traderecon.matching.facts import WITHOUT_EFFECT, Arrival, add
from traderecon.matching.groups import effective_sides
from traderecon.matching.results import Judgement, result_of
from traderecon.matching.sides import Sides
from traderecon.matching.verdict import grace_end_ns, judge, waits_for
from traderecon.records import Fact, LastPublished, Result, RulesStamp, Source, State, identity
from traderecon.records.match_keys import without_superseded
from traderecon.records.words import Word
from traderecon.rules import Rules


class IdentifiedFact(Protocol):
    """A fact, the identity of its leg, and the offset of its journal record."""

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
        """The offset in the trade's journal partition."""
        ...


class WaitingFor(Word):
    """What a trade waits for within its grace."""

    CONFIRMATION = "confirmation"
    EXECUTION = "execution"
    PNL = "pnl"


WAITING_FOR = {
    Source.EXECUTIONS: WaitingFor.EXECUTION,
    Source.CONFIRMATIONS: WaitingFor.CONFIRMATION,
    Source.PNL: WaitingFor.PNL,
}


class TradeStep(msgspec.Struct, frozen=True, gc=False):
    """One step of a trade.

    ``arrival`` is None if time caused it. ``judgement`` is None if nothing changed: the fact was IDENTICAL or
    OUTRANKED. ``previous_due_ns`` and ``due_ns`` are when the trade's grace ends, before and after; None if it does not
    wait. ``upto`` is the highest journal offset among the facts; ``already_published``: a result of them is published.
    """

    arrival: Arrival | None
    judgement: Judgement | None = None
    last_published: LastPublished | None = None
    previous_due_ns: int | None = None
    due_ns: int | None = None
    upto: int = -1
    already_published: bool = False

    def result(self, rules: RulesStamp, version_floor: int = 0) -> Result | None:
        """The result to publish; None while the trade waits, if nothing changed, or if it is published already.

        ``version_floor``: see ``results.result_of``.
        """
        if self.judgement is None or self.already_published or self.judgement.verdict.state is State.PENDING:
            return None
        return result_of(self.judgement, rules, self.last_published, version_floor)


def join(
    existing: Sequence[IdentifiedFact],
    last_published: LastPublished | None,
    incoming: IdentifiedFact,
    watermark_ns: int,
    rules: Rules,
    *,
    also: Sequence[IdentifiedFact] = (),
) -> TradeStep:
    """Add a fact to the existing ones, and at once what else the trade gets with it: see ``namesakes``."""
    facts = tuple([row.fact for row in existing])
    remaining, arrival = add(facts, incoming.fact)
    has_effect = arrival not in WITHOUT_EFFECT
    for row in also:
        remaining, another = add(remaining, row.fact)
        has_effect = has_effect or another not in WITHOUT_EFFECT
    if not has_effect:
        return TradeStep(arrival)
    rows = [*existing, incoming, *also]
    if len(remaining) < len(rows):
        ids = {id(fact) for fact in remaining}
        rows = [row for row in rows if id(row.fact) in ids]
    judgement = _judgement(remaining, [row.identity for row in rows], watermark_ns, rules)
    upto = max([row.journal_offset for row in existing], default=-1)
    waited = bool(existing) and is_undecided(existing, last_published)
    previous_due_ns = _grace_end_ns(effective_sides(facts, rules), rules) if waited else None
    upto = max(upto, incoming.journal_offset)  # the others have the same
    already_published = last_published is not None and last_published.covers(upto, len(existing) + 1 + len(also))
    next_due_ns = None if already_published else due_ns(judgement, rules)
    return TradeStep(arrival, judgement, last_published, previous_due_ns, next_due_ns, upto, already_published)


def expire(
    existing: Sequence[IdentifiedFact], last_published: LastPublished | None, watermark_ns: int, rules: Rules
) -> TradeStep:
    """Judge a trade whose grace was to end by ``watermark_ns``; without effect if its facts are published already."""
    if not existing or not is_undecided(existing, last_published):
        return TradeStep(None)
    upto = max([row.journal_offset for row in existing])
    facts, identities = tuple([row.fact for row in existing]), [row.identity for row in existing]
    judgement = _judgement(facts, identities, watermark_ns, rules)
    return TradeStep(None, judgement, last_published, None, due_ns(judgement, rules), upto)


def is_undecided(existing: Sequence[IdentifiedFact], last_published: LastPublished | None) -> bool:
    """Whether no published result has all of these facts: the trade waits."""
    upto = max([row.journal_offset for row in existing], default=-1)
    return last_published is None or not last_published.covers(upto, len(existing))


def waiting_for(sides: Sides) -> WaitingFor:
    """What a trade with at least one execution or confirmation waits for."""
    return WAITING_FOR[waits_for(sides)]


def due_ns(judgement: Judgement, rules: Rules) -> int | None:
    """When the grace of a waiting trade ends; None if it does not wait. A snapshot alone waits for nothing."""
    sides = judgement.sides
    if judgement.verdict.state is not State.PENDING or (sides.execution is None and sides.confirmation is None):
        return None
    return _grace_end_ns(sides, rules)


def _grace_end_ns(sides: Sides, rules: Rules) -> int | None:
    """When the grace of these legs ends, whatever their verdict; None for a snapshot alone."""
    return None if sides.execution is None and sides.confirmation is None else grace_end_ns(sides, rules)


def judge_trade(facts: Sequence[Fact], watermark_ns: int, rules: Rules) -> Judgement:
    """The judgement of these facts; of identical facts the last counts."""
    by_identity = {identity(fact.leg): fact for fact in facts}
    return _judgement([*by_identity.values()], [*by_identity], watermark_ns, rules)


def _judgement(facts: Sequence[Fact], identities: Sequence[str], watermark_ns: int, rules: Rules) -> Judgement:
    count, sides = len(facts), effective_sides(facts, rules)
    if sides.ambiguous:
        by_leg = {fact.leg: name for fact, name in zip(facts, identities, strict=True)}
        facts = without_superseded(facts)
        identities = [by_leg[fact.leg] for fact in facts]
    verdict = judge(sides, watermark_ns, rules)
    if verdict.state is not State.PENDING and (hints := arrival_hints(facts, sides)):
        verdict = msgspec.structs.replace(verdict, hints=tuple(sorted({*verdict.hints, *hints})))
    return Judgement(facts, identities, sides, verdict, assess(sides, verdict, rules), count - len(facts))
