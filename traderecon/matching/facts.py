"""The grow-only set: adding a fact twice changes nothing, and nothing is ever taken out."""

from traderecon.records import Fact
from traderecon.records.words import Word

MAX_FACTS = 64
"""A trade keeps this many facts; a further one is TOO_MANY_FACTS."""


class Arrival(Word):
    """What an arriving fact was to the facts already there."""

    NEW = "new"
    IDENTICAL = "identical"
    CONFLICTING = "conflicting"
    STALE = "stale"
    TOO_MANY = "too_many"


def add(facts: tuple[Fact, ...], fact: Fact) -> tuple[tuple[Fact, ...], Arrival]:
    """The set with the fact in it, and what its arrival was.

    The first of identical facts stays, with its origin. STALE and CONFLICTING facts are kept: they are evidence.
    """
    leg = fact.leg
    rivals = [other.leg for other in facts if other.leg.source is leg.source]
    if leg in rivals:
        return facts, Arrival.IDENTICAL
    if len(facts) >= MAX_FACTS:
        return facts, Arrival.TOO_MANY
    precedence = (leg.version, leg.kind.rank)
    highest = max(((rival.version, rival.kind.rank) for rival in rivals), default=precedence)
    if precedence < highest:
        arrival = Arrival.STALE
    elif any((rival.version, rival.kind) == (leg.version, leg.kind) for rival in rivals):
        arrival = Arrival.CONFLICTING
    else:
        arrival = Arrival.NEW
    return (*facts, fact), arrival
