"""Closed trades: when they are closed, and the result of a late leg."""

from decimal import Decimal

import pytest
from legs import SECOND_NS, arrived, booked, ours, theirs

from traderecon.matching.closed import claims_trade, closes_at_ns, late_leg_result, latest_leg_time_ns, leg_time_ns
from traderecon.records import (
    Assessment,
    Fact,
    LastPublished,
    Reason,
    Severity,
    Stake,
    State,
    Transition,
    identity,
)
from traderecon.rules import FOUNDING
from traderecon.tables import facts as rows

DAY_NS = 86_400 * 10**9


def late(*facts: Fact) -> list[rows.StoredFact]:
    return [rows.StoredFact(identity(fact.leg), fact, i) for i, fact in enumerate(facts)]


@pytest.mark.matrix("S14")
def test_a_trade_is_closed_a_retention_after_its_last_fact() -> None:
    first, second = arrived(ours(), theirs())
    last_ns = max(first.origin.received_at_ns, second.origin.received_at_ns)
    assert closes_at_ns([first, second], DAY_NS) == closes_at_ns([second, first], DAY_NS) == last_ns + DAY_NS


@pytest.mark.matrix("S14")
def test_the_timestamp_of_a_leg_counts_up_to_the_time_it_was_received() -> None:
    execution, snapshot = arrived(ours(timestamp_ns=SECOND_NS + 10**6 * DAY_NS), booked())
    assert latest_leg_time_ns([execution, snapshot]) == execution.origin.received_at_ns
    assert leg_time_ns(snapshot) is None
    assert latest_leg_time_ns([snapshot]) == latest_leg_time_ns([]) == 0
    late_snapshot, early = *arrived(booked(), received_at_ns=5), *arrived(ours(timestamp_ns=3), received_at_ns=5)
    assert (leg_time_ns(early), latest_leg_time_ns([early, late_snapshot])) == (3, 3)
    assert latest_leg_time_ns([late_snapshot]) == 0
    assert [claims_trade(execution), claims_trade(snapshot)] == [True, False]


@pytest.mark.matrix("S14")
@pytest.mark.parametrize(
    ("before", "transition"),
    [
        (None, Transition.OPENED),
        (LastPublished(4, State.MATCHED, (), "e" * 64), Transition.OPENED),
        (LastPublished(4, State.UNMATCHED, (Reason.MISSING_CONFIRMATION,), "e" * 64), Transition.RECLASSIFIED),
        (LastPublished(5, State.UNMATCHED, (Reason.ORPHAN_LATE,), "e" * 64), Transition.NONE),
    ],
)
def test_a_late_leg_is_a_break_with_the_next_version(before: LastPublished | None, transition: Transition) -> None:
    first, second = arrived(ours(version=2), theirs(version=2))
    late_result = late_leg_result("T1", 4, late(first), before, FOUNDING)
    assert (late_result.version, late_result.verdict.state, late_result.verdict.reasons) == (
        5,
        State.UNMATCHED,
        (Reason.ORPHAN_LATE,),
    )
    assert late_result.break_.transition is transition
    assert late_result.assessment == Assessment(Stake(Decimal(19050)), Severity.HIGH)
    assert late_leg_result("T1", 4, late(first, second), before, FOUNDING).version == 6
    assert late_leg_result("T1", 4, late(first), before, FOUNDING) == late_result
