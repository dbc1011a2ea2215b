"""Closed trades: when they are closed, and what a late leg comes to."""

import pytest
from legs import SECOND_NS, arrived, booked, ours, theirs

from traderecon.matching.closed import closes_ns, is_claim, latest_ns, orphan, own_ns
from traderecon.records import Fact, LastPublished, Reason, State, Transition, identity
from traderecon.rules import FOUNDING
from traderecon.tables import facts as rows

DAY_NS = 86_400 * 10**9


def late(*facts: Fact) -> list[rows.StoredFact]:
    return [rows.StoredFact(identity(fact.leg), fact, at) for at, fact in enumerate(facts)]


def test_s14_a_trade_is_closed_a_retention_after_its_last_fact() -> None:
    first, second = arrived(ours(), theirs())
    last_ns = max(first.origin.received_at_ns, second.origin.received_at_ns)
    assert closes_ns([first, second], DAY_NS) == closes_ns([second, first], DAY_NS) == last_ns + DAY_NS


def test_s14_a_time_that_a_leg_gives_itself_counts_no_later_than_it_came() -> None:
    execution, snapshot = arrived(ours(timestamp_ns=SECOND_NS + 10**6 * DAY_NS), booked())
    assert latest_ns([execution, snapshot]) == execution.origin.received_at_ns
    assert own_ns(snapshot) is None
    assert latest_ns([snapshot]) == latest_ns([]) == 0
    assert [is_claim(execution), is_claim(snapshot)] == [True, False]


@pytest.mark.parametrize(
    ("before", "transition"),
    [
        (None, Transition.OPENED),
        (LastPublished(4, State.MATCHED, (), "e" * 64), Transition.OPENED),
        (LastPublished(4, State.UNMATCHED, (Reason.MISSING_CONFIRMATION,), "e" * 64), Transition.RECLASSIFIED),
        (LastPublished(5, State.UNMATCHED, (Reason.ORPHAN_LATE,), "e" * 64), Transition.NONE),
    ],
)
def test_s14_a_late_leg_is_a_break_with_the_next_version(before: LastPublished | None, transition: Transition) -> None:
    one, two = arrived(ours(version=2), theirs(version=2))
    found = orphan(4, late(one), before, FOUNDING.stamp())
    assert (found.version, found.verdict.state, found.verdict.reasons) == (5, State.UNMATCHED, (Reason.ORPHAN_LATE,))
    assert found.broken.transition is transition
    assert orphan(4, late(one, two), before, FOUNDING.stamp()).version == 6
    assert orphan(4, late(one), before, FOUNDING.stamp()) == found
