"""A result: a verdict with its evidence and an id made from its content alone."""

import hashlib
from collections.abc import Sequence

import msgspec

from traderecon.matching.sides import sides_of
from traderecon.records import Fact, Result, RulesStamp, Verdict, identity

_encode = msgspec.json.Encoder(order="sorted").encode


def result(facts: Sequence[Fact], verdict: Verdict, rules: RulesStamp) -> Result:
    """The verdict on these facts (at least one), under these rules; the version is the size of the set."""
    evidence = {identity(fact.leg): fact for fact in facts}
    order = sorted(evidence, key=lambda known: (evidence[known].leg.source, evidence[known].leg.version, known))
    trade_id = facts[0].leg.trade_id
    return Result(
        event_id=event_id(trade_id, verdict, order, rules.sha256),
        trade_id=trade_id,
        version=len(evidence),
        verdict=verdict,
        facts=tuple([evidence[known] for known in order]),
        rules=rules,
        event_time_ns=sides_of(facts).event_time_ns,
    )


def event_id(trade_id: str, verdict: Verdict, identities: Sequence[str], rules_sha256: str) -> str:
    """sha256 of the canonical JSON (keys sorted, no spaces, UTF-8) of what makes this result this result.

    No offsets, arrival times, version or hints. Source: CONTRACT.md, Topics.
    """
    claim = {
        "checks": {check.name: check.outcome for check in verdict.checks},
        "facts": sorted(identities),
        "reasons": verdict.reasons,
        "rules": rules_sha256,
        "state": verdict.state,
        "trade_id": trade_id,
    }
    return hashlib.sha256(_encode(claim)).hexdigest()
