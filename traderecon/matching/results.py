"""A result: a verdict with its evidence and an id made from its content alone."""

from collections.abc import Collection, Sequence

import msgspec

from traderecon.matching.compared import compare_fields
from traderecon.matching.sides import Sides
from traderecon.records import (
    Assessment,
    Break,
    Fact,
    LastPublished,
    Leg,
    Outcome,
    Reason,
    Result,
    RulesStamp,
    Source,
    State,
    Transition,
    Verdict,
    break_id,
)
from traderecon.records.digest import sha256
from traderecon.records.match_keys import has_partial_key
from traderecon.records.members import further_member_came_last
from traderecon.records.results import Resolution

_MANY = 20
_encode = msgspec.json.Encoder(order="sorted").encode


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """A set of facts and its verdict, with the identity of each fact, the effective legs, and what a break is about.

    ``superseded``: how many further facts are left out, since an ambiguous copy replaces them. ``trade_id``: only where
    the facts have another one.
    """

    facts: Sequence[Fact]
    identities: Sequence[str]
    sides: Sides
    verdict: Verdict
    assessment: Assessment | None = None
    superseded: int = 0
    trade_id: str | None = None


class _Claim(msgspec.Struct, gc=False):
    """What an event id is made from, field names included."""

    checks: dict[str, Outcome]
    facts: list[str]
    reasons: tuple[Reason, ...]
    rules: str
    state: State
    trade_id: str


def to_last_published(result: Result, upto: int = -1) -> LastPublished:
    """A result as the trade's last published; ``upto`` is the highest journal offset among its facts."""
    return LastPublished(result.version, result.verdict.state, result.verdict.reasons, result.event_id, upto)


def result_of(
    judgement: Judgement, rules: RulesStamp, last_published: LastPublished | None = None, version_floor: int = 0
) -> Result:
    """The result of this judgement (of at least one fact) under these rules.

    ``last_published`` is the trade's last result, None if there is none. The version is the number of facts, or one
    above the last version if that is more. ``version_floor``: for an unknown trade, the highest version it may have had
    before it was forgotten; readers that keep results longer may still have it.
    """
    facts, identities = judgement.facts, judgement.identities
    keys = [(fact.leg.source, fact.leg.version, identities[i], i) for i, fact in enumerate(facts)]
    evidence = tuple([facts[key[3]] for key in sorted(keys)])
    trade_id, size = judgement.trade_id or trade_id_of(facts), len(facts) + judgement.superseded
    return Result(
        event_id=event_id(trade_id, judgement.verdict, identities, rules.sha256),
        trade_id=trade_id,
        version=version_floor + size if last_published is None else max(last_published.version + 1, size),
        verdict=judgement.verdict,
        facts=evidence,
        stands=_effective(evidence, judgement.sides),
        break_=_break(trade_id, judgement, last_published),
        rules=rules,
        event_time_ns=judgement.sides.event_time_ns,
        compared=compare_fields(judgement.sides, judgement.verdict.checks),
        assessment=judgement.assessment,
        combined=judgement.sides.combined if judgement.sides.grouped else (),
    )


def trade_id_of(facts: Sequence[Fact]) -> str:
    """The id of the trade with these facts (at least one); a record with a partial key has another one."""
    leg = facts[0].leg
    if leg.sent_id is None or not has_partial_key(leg):
        return leg.trade_id
    return next((fact.leg.trade_id for fact in facts if not has_partial_key(fact.leg)), leg.trade_id)


def event_id(trade_id: str, verdict: Verdict, identities: Sequence[str], rules_sha256: str) -> str:
    """sha256 of the canonical JSON (keys sorted, no spaces, UTF-8) of what identifies this result.

    Offsets, arrival times, version and hints are not part of it. Source: CONTRACT.md, Topics.
    """
    checks = {check.name: check.outcome for check in verdict.checks}
    claim = _Claim(checks, sorted(identities), verdict.reasons, rules_sha256, verdict.state, trade_id)
    return sha256(_encode(claim))


def _break(trade_id: str, judgement: Judgement, last_published: LastPublished | None) -> Break:
    verdict, facts = judgement.verdict, judgement.facts
    if last_published is None:
        return Break(break_id(trade_id), Transition.between(None, (verdict.state, verdict.reasons)))
    before = (last_published.state, last_published.reasons)
    transition = Transition.between(before, (verdict.state, verdict.reasons))
    if transition is not Transition.RESOLVED:
        return Break(break_id(trade_id), transition, last_published.event_id)
    further = further_member_came_last(
        (fact.leg.source, fact.leg.member_id, fact.origin.received_at_ns) for fact in facts
    )
    resolution = Resolution.of(last_published.reasons, verdict.state, by_further_member=further)
    return Break(break_id(trade_id), transition, last_published.event_id, resolution)


def _effective(facts: Sequence[Fact], sides: Sides) -> tuple[bool, ...]:
    """For each fact, whether the effective leg of its source is made of it."""
    legs = (sides.execution, sides.confirmation, sides.pnl)
    if not sides.rivals and len(facts) == len(legs) - legs.count(None):  # nearly every trade
        return (True,) * len(facts)
    effective: Collection[Leg] = [leg for source in Source for leg in sides.effective(source)]
    if len(effective) == len(facts):
        return (True,) * len(facts)
    if len(facts) > _MANY:
        effective = frozenset(effective)
    return tuple(fact.leg in effective for fact in facts)
