"""Bounds: how many facts of a side are kept: the highest by version, kind and identity, whatever came first."""

from collections.abc import Sequence

from traderecon.records.facts import Fact, identity
from traderecon.records.legs import Leg
from traderecon.records.sources import Source

RIVALS = 20
"""A version with more different legs than this proves nothing: every field of it is contested."""

FACTS_PER_SIDE = RIVALS + 1
"""One more than may be rivals: it shows that there were more."""


def outranked(facts: Sequence[Fact]) -> set[int]:
    """The places of the facts that are not among the highest of their side; the facts differ."""
    lost: set[int] = set()
    if len(facts) <= FACTS_PER_SIDE:
        return lost
    for source in Source:
        places = [place for place, fact in enumerate(facts) if fact.leg.source is source]
        if len(places) > FACTS_PER_SIDE:
            places.sort(key=lambda place: _rank(facts[place].leg))
            lost.update(places[:-FACTS_PER_SIDE])
    return lost


def _rank(leg: Leg) -> tuple[int, int, str]:
    return leg.version, leg.kind.rank, identity(leg)
