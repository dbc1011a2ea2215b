"""Hints from how the records of a trade arrived: their time and their key, which are no part of a leg.

    timestamp 10:11:23, received at 10:01:23   ->   FUTURE_TIMESTAMP
    key T9, trade_id T1                        ->   KEY_MISMATCH

A leg's content is its identity, and a record that is sent again arrives at another time. So these hints are found
here, from the facts, and never decide anything. A row of a file has neither time nor key. Source: DOMAIN.md C18, E15.
"""

from collections.abc import Iterator, Sequence

from traderecon.matching.sides import Sides
from traderecon.records import Fact, Hint, PnlSnapshot
from traderecon.records.facts import SENT_KEY
from traderecon.records.instants import NS_PER_S

FUTURE_NS = 300 * NS_PER_S
"""A timestamp this much later than the receipt of its record is no difference of two good clocks."""


def arrival_hints(facts: Sequence[Fact], sides: Sides) -> Iterator[Hint]:
    """The hints of the facts whose legs are effective."""
    for fact in facts:
        leg, origin = fact.leg, fact.origin
        if fact.extra is not None and SENT_KEY in fact.extra and leg in sides.effective(leg.source):
            yield Hint.KEY_MISMATCH
        if (
            not isinstance(leg, PnlSnapshot)
            and leg.timestamp_ns is not None
            and leg.timestamp_ns > origin.received_at_ns + FUTURE_NS
            and origin.received_at_ns
            and leg in sides.effective(leg.source)
        ):
            yield Hint.FUTURE_TIMESTAMP
