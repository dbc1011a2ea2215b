"""Closed trades: when a trade is closed, and what a leg comes to that is too late for it.

    the facts, the retention                     ->  when to close
    the legs that came late, the new one         ->  the ORPHAN_LATE result, with the next version

Pure. A late leg is judged against nothing: what it would have met is gone. It needs a person.
"""

from collections.abc import Iterable, Sequence

import msgspec

from traderecon.matching.lifecycle import Known
from traderecon.matching.results import Decided, result
from traderecon.matching.sides import sides_of
from traderecon.records import Fact, LastPublished, Reason, Result, RulesStamp, Source, State, Verdict
from traderecon.records.bounds import RIVALS

ORPHAN_LATE = Verdict(State.UNMATCHED, (Reason.ORPHAN_LATE,))
MOST_LATE = RIVALS
"""Late legs of one closed trade: as many as a side keeps, so that none is let go. A further one is a dead letter."""


def closes_ns(facts: Iterable[Fact], retention_ns: int) -> int:
    """When a trade with these facts (at least one) is to be closed: the retention after the last of them came."""
    return max(fact.origin.received_at_ns for fact in facts) + retention_ns


def latest_ns(facts: Iterable[Fact]) -> int:
    """The latest time that a leg gives itself, and no later than it came; 0 where none gives itself one."""
    return max((min(own_ns(fact) or 0, fact.origin.received_at_ns) for fact in facts), default=0)


def own_ns(fact: Fact) -> int | None:
    """The time a leg gives itself, in nanoseconds; None where it gives none."""
    found: int | None = getattr(fact.leg, "timestamp_ns", None)
    return found


def is_claim(fact: Fact) -> bool:
    """Whether a fact says that there was a trade: a snapshot alone opens no break."""
    return fact.leg.source is not Source.PNL


def orphan(version: int, late: Sequence[Known], told: LastPublished | None, rules: RulesStamp) -> Result:
    """The result of a closed trade's late legs (at least one): a break, ``version`` and one for each of them.

    ``version``: the last one before it was closed; ``told``: what was published last.
    """
    facts, identities = tuple([each.fact for each in late]), [each.identity for each in late]
    found = result(Decided(facts, identities, sides_of(facts), ORPHAN_LATE), rules, told)
    return msgspec.structs.replace(found, version=version + len(late))
