"""Closed trades: when to close a trade, and the result of a leg that arrives after that.

    the facts, the retention                     ->  when to close
    the late legs so far, the new one            ->  the ORPHAN_LATE result, with the next version

Pure. A late leg is compared with nothing, since the facts of its trade are gone. It needs a person.
"""

from collections.abc import Iterable, Sequence

import msgspec

from traderecon.matching.assess import assess
from traderecon.matching.groups import effective_sides
from traderecon.matching.lifecycle import IdentifiedFact
from traderecon.matching.results import Judgement, result_of
from traderecon.records import Fact, LastPublished, Reason, Result, Source, State, Verdict
from traderecon.records.bounds import RIVALS
from traderecon.rules import Rules

ORPHAN_LATE = Verdict(State.UNMATCHED, (Reason.ORPHAN_LATE,))
MAX_LATE_LEGS = RIVALS
"""Late legs of one closed trade: fewer than a side holds, so none is dropped. A further leg is a dead letter."""


def closes_at_ns(facts: Iterable[Fact], retention_ns: int) -> int:
    """When to close a trade with these facts (at least one): one retention after the last was received."""
    return max(fact.origin.received_at_ns for fact in facts) + retention_ns


def latest_leg_time_ns(facts: Iterable[Fact]) -> int:
    """The latest timestamp of a leg, capped at the time it was received; 0 if no leg has one."""
    return max((min(leg_time_ns(fact) or 0, fact.origin.received_at_ns) for fact in facts), default=0)


def leg_time_ns(fact: Fact) -> int | None:
    """The timestamp in the leg itself, in nanoseconds; None if it has none."""
    timestamp_ns: int | None = getattr(fact.leg, "timestamp_ns", None)
    return timestamp_ns


def claims_trade(fact: Fact) -> bool:
    """Whether a fact claims that there was a trade: a snapshot alone opens no break."""
    return fact.leg.source is not Source.PNL


def late_leg_result(
    trade_id: str, version: int, late: Sequence[IdentifiedFact], last_published: LastPublished | None, rules: Rules
) -> Result:
    """The result of a closed trade's late legs (at least one): a break, ``version`` plus one for each leg.

    ``version`` is the trade's last before it was closed.
    """
    facts, identities = tuple([row.fact for row in late]), [row.identity for row in late]
    sides = effective_sides(facts, rules)
    assessment = assess(sides, ORPHAN_LATE, rules)
    judgement = Judgement(facts, identities, sides, ORPHAN_LATE, assessment, trade_id=trade_id)
    result = result_of(judgement, rules.stamp(), last_published)
    return msgspec.structs.replace(result, version=version + len(late))
