"""Hints from how the records of a trade arrived: their time and their key, which are no part of a leg.

    timestamp 10:11:23, received at 10:01:23   ->   FUTURE_TIMESTAMP
    key T9, trade_id T1                        ->   KEY_MISMATCH

A leg's content is its identity, and a record that is sent again arrives at another time. So these hints are found
here, from the facts, and never decide anything. A row of a file has neither time nor key. Source: DOMAIN.md C18, E15.
"""

from collections.abc import Sequence

from traderecon.matching.sides import Sides
from traderecon.records import Fact, Hint, PnlSnapshot, Source
from traderecon.records.instants import NS_PER_S

_MANY = 20
FUTURE_NS = 300 * NS_PER_S
"""A timestamp this much later than the receipt of its record is no difference of two good clocks."""


def arrival_hints(facts: Sequence[Fact], sides: Sides) -> tuple[Hint, ...]:
    """The hints of the facts whose legs are effective, in no particular order."""
    hints: tuple[Hint, ...] = ()
    if len(facts) > _MANY:
        effective = {leg for source in Source for leg in sides.effective(source)}
        facts = [fact for fact in facts if fact.leg in effective]
    for fact in facts:
        leg = fact.leg
        if Hint.KEY_MISMATCH not in hints and fact.origin.sent_key and leg in sides.effective(leg.source):
            hints = (*hints, Hint.KEY_MISMATCH)
        if isinstance(leg, PnlSnapshot) or leg.timestamp_ns is None:
            continue
        received_at_ns = fact.origin.received_at_ns
        late = Hint.FUTURE_TIMESTAMP not in hints and leg.timestamp_ns > received_at_ns + FUTURE_NS
        if late and received_at_ns and leg in sides.effective(leg.source):
            hints = (*hints, Hint.FUTURE_TIMESTAMP)
    return hints
