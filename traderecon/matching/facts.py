"""The grow-only set: adding a fact twice changes nothing, and nothing is ever taken out."""

from traderecon.matching.sides import differing
from traderecon.records import Fact
from traderecon.records.words import Word

MAX_FACTS = 64
"""A trade keeps this many facts; a further one is TOO_MANY_FACTS."""


class Arrival(Word):
    """What an arriving fact was to the facts already there."""

    NEW = "new"
    IDENTICAL = "identical"
    RESPELT = "respelt"
    CONFLICTING = "conflicting"
    STALE = "stale"
    TOO_MANY = "too_many"


def add(facts: tuple[Fact, ...], fact: Fact) -> tuple[tuple[Fact, ...], Arrival]:
    """The set with the fact in it, and what its arrival was.

    The first of identical facts stays, with its origin. Any other is kept, as evidence: STALE below the version that
    stands, RESPELT with the same values written otherwise, CONFLICTING with other values.
    """
    if not facts:
        return (fact,), Arrival.NEW
    leg, source = fact.leg, fact.leg.source
    rivals = [other.leg for other in facts if other.leg.source is source]
    if not rivals:
        return ((*facts, fact), Arrival.NEW) if len(facts) < MAX_FACTS else (facts, Arrival.TOO_MANY)
    if leg in rivals:
        return facts, Arrival.IDENTICAL
    if len(facts) >= MAX_FACTS:
        return facts, Arrival.TOO_MANY
    precedence = (leg.version, leg.kind.rank)
    highest = max((rival.version, rival.kind.rank) for rival in rivals)
    if precedence < highest:
        arrival = Arrival.STALE
    else:
        equals = [rival for rival in rivals if (rival.version, rival.kind) == (leg.version, leg.kind)]
        arrival = Arrival.NEW
        if equals:
            arrival = Arrival.CONFLICTING if differing([*equals, leg]) else Arrival.RESPELT
    return (*facts, fact), arrival
