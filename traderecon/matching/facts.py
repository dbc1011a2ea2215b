"""The set of a trade's facts: per side the highest by version, kind and identity, whatever came first.

Adding a fact twice changes nothing, and the order in which facts come changes nothing. What falls below a full side was
never part of it: a set of the highest is the same however it was gathered.
"""

from traderecon.matching.sides import contradictions, stated
from traderecon.records import CONTENT, Fact, Kind, Leg
from traderecon.records.bounds import outranked
from traderecon.records.words import Word


class Arrival(Word):
    """What an arriving fact was to the facts already there."""

    NEW = "new"
    IDENTICAL = "identical"
    RESPELT = "respelt"
    ENRICHED = "enriched"
    CONFLICTING = "conflicting"
    STALE = "stale"
    OUTRANKED = "outranked"


def add(facts: tuple[Fact, ...], fact: Fact) -> tuple[tuple[Fact, ...], Arrival]:
    """The set with the fact in it, and what its arrival was.

    The first of identical facts stays, with its origin. Any other is kept, as evidence: STALE below the version that
    stands; of the version and kind of one that is there RESPELT with the same values written otherwise, ENRICHED with a
    field more or less, CONFLICTING with another value in a field. OUTRANKED below the highest that a side keeps: it
    changes nothing.
    """
    if not facts:
        return (fact,), Arrival.NEW
    leg, source = fact.leg, fact.leg.source
    rivals = [other.leg for other in facts if other.leg.source is source]
    if not rivals:
        return (*facts, fact), Arrival.NEW
    if leg in rivals:
        return facts, Arrival.IDENTICAL
    together = (*facts, fact)
    if lost := outranked(together):
        together = tuple(each for place, each in enumerate(together) if place not in lost)
        if len(facts) in lost:
            return together, Arrival.OUTRANKED
    precedence = (leg.version, leg.kind.rank)
    highest = max((rival.version, rival.kind.rank) for rival in rivals)
    if precedence < highest:
        arrival = Arrival.STALE
    else:
        equals = [rival for rival in rivals if (rival.version, rival.kind) == (leg.version, leg.kind)]
        arrival = Arrival.NEW
        if equals:
            arrival = _beside(leg, equals)
    return together, arrival


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
