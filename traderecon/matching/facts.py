"""The set of a trade's facts: per side the highest by version, kind and identity, in any order of arrival.

Neither repeating a fact nor reordering the arrivals changes the set. A fact below a full side is dropped, so the set of
the highest is the same in any order too.
"""

from traderecon.matching.sides import contested_fields, distinct_values
from traderecon.records import CONTENT, Fact, Kind, Leg
from traderecon.records.bounds import outranked
from traderecon.records.match_keys import is_ambiguous
from traderecon.records.words import Word


class Arrival(Word):
    """How an arriving fact relates to the existing ones."""

    NEW = "new"
    IDENTICAL = "identical"
    RESPELT = "respelt"
    ENRICHED = "enriched"
    CONFLICTING = "conflicting"
    STALE = "stale"
    OUTRANKED = "outranked"
    CLOSED = "closed"
    """A snapshot of a closed trade, which is not judged again."""


WITHOUT_EFFECT = frozenset({Arrival.IDENTICAL, Arrival.OUTRANKED})
"""The arrivals that leave the set unchanged."""


def add(facts: tuple[Fact, ...], fact: Fact) -> tuple[tuple[Fact, ...], Arrival]:
    """The set with the fact added, and how it arrived.

    Of identical facts the first stays, with its origin. Any other fact is added as evidence: STALE below the highest
    version; beside a leg of the same version and kind RESPELT if its values are the same but written differently,
    ENRICHED if a field was added or left out, CONFLICTING if a field has another value. OUTRANKED below the highest
    facts that a side holds: the set is unchanged.
    """
    if not facts:
        return (fact,), Arrival.NEW
    leg, source, member_id = fact.leg, fact.leg.source, fact.leg.member_id
    rivals = [other.leg for other in facts if other.leg.source is source and other.leg.member_id == member_id]
    if leg.sent_id is not None:
        rivals = [rival for rival in rivals if is_ambiguous(rival) is is_ambiguous(leg)]
    if not rivals:
        return (*facts, fact), Arrival.NEW
    if leg in rivals:
        return facts, Arrival.IDENTICAL
    extended = (*facts, fact)
    if dropped := outranked(extended):
        extended = tuple(existing for i, existing in enumerate(extended) if i not in dropped)
        if len(facts) in dropped:
            return extended, Arrival.OUTRANKED
    precedence = (leg.version, leg.kind.rank)
    highest = max((rival.version, rival.kind.rank) for rival in rivals)
    if precedence < highest:
        arrival = Arrival.STALE
    else:
        equals = [rival for rival in rivals if (rival.version, rival.kind) == (leg.version, leg.kind)]
        arrival = Arrival.NEW
        if equals:
            arrival = _same_version(leg, equals)
    return extended, arrival


def _same_version(leg: Leg, equals: list[Leg]) -> Arrival:
    """How a leg relates to others of its version and kind. Cancels do not contradict each other."""
    if leg.kind is not Kind.CANCEL and contested_fields([*equals, leg]):
        return Arrival.CONFLICTING
    content = CONTENT[leg.source]

    def count(field: str, *legs: Leg) -> int:
        return len(distinct_values(legs, field))

    respelt = any(
        all(count(field, leg, other) == count(field, leg) == count(field, other) for field in content)
        for other in equals
    )
    return Arrival.RESPELT if respelt else Arrival.ENRICHED
