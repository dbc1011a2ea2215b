"""The grow-only set: adding a fact twice changes nothing, and nothing is ever taken out."""

from traderecon.matching.sides import contradictions, stated
from traderecon.records import CONTENT, Fact, Kind, Leg
from traderecon.records.words import Word

MAX_FACTS = 64
"""A trade keeps this many facts; a further one is TOO_MANY_FACTS."""


class Arrival(Word):
    """What an arriving fact was to the facts already there."""

    NEW = "new"
    IDENTICAL = "identical"
    RESPELT = "respelt"
    ENRICHED = "enriched"
    CONFLICTING = "conflicting"
    STALE = "stale"
    TOO_MANY = "too_many"


def add(facts: tuple[Fact, ...], fact: Fact) -> tuple[tuple[Fact, ...], Arrival]:
    """The set with the fact in it, and what its arrival was.

    The first of identical facts stays, with its origin. Any other is kept, as evidence: STALE below the version that
    stands; of the version and kind of one that is there RESPELT with the same values written otherwise, ENRICHED with a
    field more or less, CONFLICTING with another value in a field.
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
            arrival = _beside(leg, equals)
    return (*facts, fact), arrival


def _beside(leg: Leg, equals: list[Leg]) -> Arrival:
    """What a leg is to others of its version and kind. Cancels do not contradict each other."""
    if leg.kind is not Kind.CANCEL and contradictions([*equals, leg]):
        return Arrival.CONFLICTING
    content = CONTENT[leg.source]
    same = any(
        all(
            len(stated((leg, other), field)) == len(stated((leg,), field)) == len(stated((other,), field))
            for field in content
        )
        for other in equals
    )
    return Arrival.RESPELT if same else Arrival.ENRICHED
