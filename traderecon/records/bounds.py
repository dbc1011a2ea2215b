"""Bounds: how many facts a side holds: the highest by version, kind and identity, in any order of arrival.

Each member of a group has sides of its own, and so have the legs with a partial key.
"""

from collections import defaultdict
from collections.abc import Sequence

from traderecon.records.facts import Fact, identity
from traderecon.records.match_keys import as_unambiguous, has_partial_key, is_ambiguous
from traderecon.records.sources import Source

RIVALS = 20
"""A version with more different legs than this proves nothing: every field of it is contested."""

FACTS_PER_SIDE = RIVALS + 1
"""One more than ``RIVALS``, to show that there were too many."""


FACTS_PER_GROUP = 1_000
"""So many records of a group and a source are compared; a worker rejects every further one."""
GROUP_BYTES = 2_500_000
"""The legs of a group take at most this many bytes as JSON: a result has all of them, and must fit into a record."""


def outranked(facts: Sequence[Fact]) -> set[int]:
    """The indexes of the facts that are not among the highest of their side; the facts must differ."""
    dropped: set[int] = set()
    if len(facts) <= FACTS_PER_SIDE:
        return dropped
    sides: dict[tuple[Source, str | None, bool], list[int]] = defaultdict(list)
    for i, fact in enumerate(facts):
        sides[fact.leg.source, fact.leg.member_id, has_partial_key(fact.leg)].append(i)
    for indexes in sides.values():
        if len(indexes) > FACTS_PER_SIDE:
            ranks = {i: _rank(facts[i]) for i in indexes}
            highest = sorted({*ranks.values()})[-FACTS_PER_SIDE:]
            dropped.update(i for i in indexes if ranks[i] < highest[0])
    return dropped


def _rank(fact: Fact) -> tuple[int, int, str]:
    """An ambiguous fact ranks as its original, so that both are dropped together."""
    leg = as_unambiguous(fact).leg if is_ambiguous(fact.leg) else fact.leg
    return leg.version, leg.kind.rank, identity(leg)
