"""A result: a verdict with its evidence and an id made from its content alone."""

from collections.abc import Sequence

import msgspec

from traderecon.matching.sides import Sides, sides_of
from traderecon.records import (
    Break,
    Fact,
    LastPublished,
    Outcome,
    Reason,
    Result,
    RulesStamp,
    Source,
    State,
    Transition,
    Verdict,
    identity,
)
from traderecon.records.digest import sha256

_encode = msgspec.json.Encoder(order="sorted").encode


class Decided(msgspec.Struct, frozen=True, gc=False):
    """What a set of facts came to: the identity of each fact, the effective legs, the verdict."""

    facts: Sequence[Fact]
    identities: Sequence[str]
    sides: Sides
    verdict: Verdict


class _Claim(msgspec.Struct, gc=False):
    """What an event id is made from; its names are part of it."""

    checks: dict[str, Outcome]
    facts: list[str]
    reasons: tuple[Reason, ...]
    rules: str
    state: State
    trade_id: str


def told(result: Result, upto: int = -1) -> LastPublished:
    """What a result tells; ``upto`` is the highest journal offset among its facts."""
    return LastPublished(result.version, result.verdict.state, result.verdict.reasons, result.event_id, upto)


def decided(facts: Sequence[Fact], verdict: Verdict) -> Decided:
    """What these facts came to; of identical ones the last is kept."""
    known = {identity(fact.leg): fact for fact in facts}
    return Decided([*known.values()], [*known], sides_of(facts), verdict)


def result(now: Decided, rules: RulesStamp, told: LastPublished | None = None, above: int = 0) -> Result:
    """The verdict on these facts (at least one), under these rules.

    ``told`` is what was published of the trade last; None where nothing was. The version is the size of the set, or one
    above the last where that is more. ``above``: the version that a trade of this id may have had before it was
    forgotten, where nothing is known of it: whoever keeps results for longer has that one.
    """
    facts, identities = now.facts, now.identities
    keys = [(fact.leg.source, fact.leg.version, identities[at], at) for at, fact in enumerate(facts)]
    evidence = tuple([facts[key[3]] for key in sorted(keys)])
    trade_id = facts[0].leg.trade_id
    return Result(
        event_id=event_id(trade_id, now.verdict, identities, rules.sha256),
        trade_id=trade_id,
        version=above + len(evidence) if told is None else max(told.version + 1, len(evidence)),
        verdict=now.verdict,
        facts=evidence,
        stands=_stands(evidence, now.sides),
        broken=_broken(trade_id, now.verdict, told),
        rules=rules,
        event_time_ns=now.sides.event_time_ns,
    )


def event_id(trade_id: str, verdict: Verdict, identities: Sequence[str], rules_sha256: str) -> str:
    """sha256 of the canonical JSON (keys sorted, no spaces, UTF-8) of what makes this result this result.

    No offsets, arrival times, version or hints. Source: CONTRACT.md, Topics.
    """
    checks = {check.name: check.outcome for check in verdict.checks}
    claim = _Claim(checks, sorted(identities), verdict.reasons, rules_sha256, verdict.state, trade_id)
    return sha256(_encode(claim))


def break_id(trade_id: str) -> str:
    """The id of a trade's break: 16 hexadecimal digits, made from the trade alone."""
    return sha256(b"break\x00" + trade_id.encode())[:16]


def _broken(trade_id: str, verdict: Verdict, told: LastPublished | None) -> Break:
    before = None if told is None else (told.state, told.reasons)
    transition = Transition.between(before, (verdict.state, verdict.reasons))
    return Break(break_id(trade_id), transition, None if told is None else told.event_id)


def _stands(facts: Sequence[Fact], sides: Sides) -> tuple[bool, ...]:
    """Which facts the effective leg of their source is made of."""
    standing = [leg for source in Source for leg in sides.standing(source)]
    if len(standing) == len(facts):
        return (True,) * len(facts)
    return tuple(fact.leg in standing for fact in facts)
