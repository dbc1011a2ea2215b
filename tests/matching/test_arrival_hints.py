"""Hints from how records arrived: they come from effective legs, and change neither an identity nor an event id."""

import pytest
from legs import SECOND_NS, arrived, booked, ours, theirs
from msgspec.structs import replace

from traderecon.matching.arrival_hints import FUTURE_NS
from traderecon.matching.lifecycle import judge_trade
from traderecon.matching.results import result_of
from traderecon.records import Fact, Hint, Leg, State
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING


def hints(*facts: Fact) -> tuple[Hint, ...]:
    return judge_trade(facts, FOREVER_NS, FOUNDING).verdict.hints


def keyed(leg: Leg) -> Fact:
    return with_key(*arrived(leg))


def with_key(fact: Fact) -> Fact:
    return replace(fact, origin=replace(fact.origin, sent_key="T9"))


@pytest.mark.parametrize(
    ("received_at_ns", "expected"),
    [
        (SECOND_NS - FUTURE_NS, ()),
        (SECOND_NS - FUTURE_NS - 1, (Hint.FUTURE_TIMESTAMP,)),
        (SECOND_NS, ()),
        (0, ()),
    ],
)
def test_a_timestamp_ahead_of_its_receipt(received_at_ns: int, expected: tuple[Hint, ...]) -> None:
    """C18: evaluated all the same; a row of a file has no time of receipt."""
    facts = arrived(ours(), theirs(), received_at_ns=received_at_ns)
    judged = judge_trade(facts, FOREVER_NS, FOUNDING)
    assert (judged.verdict.state, judged.verdict.hints) == (State.MATCHED, expected)


def test_a_snapshot_or_a_leg_without_a_timestamp_hides_no_other_leg() -> None:
    legs = booked(), ours(timestamp_ns=None), theirs()
    assert hints(*arrived(*legs, received_at_ns=1)) == (Hint.FUTURE_TIMESTAMP,)


def test_a_key_of_another_trade() -> None:
    """E15: the payload decides; every source counts, and each trade has the hint once."""
    assert hints(*arrived(ours()), keyed(theirs())) == (Hint.KEY_MISMATCH,)
    assert hints(keyed(ours()), keyed(theirs()), keyed(booked())) == (Hint.KEY_MISMATCH,)
    assert hints(*arrived(ours(), theirs()), keyed(booked())) == (Hint.KEY_MISMATCH,)


def test_what_no_longer_counts_gives_no_hint() -> None:
    new = arrived(ours(version=2), theirs())
    assert hints(keyed(ours(price="1")), *new) == ()
    assert hints(*arrived(ours(price="1"), received_at_ns=1), *new) == ()


def test_they_join_the_other_hints_in_order() -> None:
    early = theirs(timestamp_ns=SECOND_NS - 1)
    assert hints(keyed(ours()), *arrived(early)) == (Hint.CONFIRM_BEFORE_EXECUTION, Hint.KEY_MISMATCH)


def test_a_trade_that_waits_has_none() -> None:
    (fact,) = arrived(ours(), received_at_ns=1)
    verdict = judge_trade([with_key(fact)], 1, FOUNDING).verdict
    assert (verdict.state, verdict.hints) == (State.PENDING, ())


def test_no_event_id_depends_on_them() -> None:
    plain = arrived(ours(), theirs())
    odd = [with_key(fact) for fact in arrived(ours(), theirs(), received_at_ns=1)]
    results = [result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp()) for facts in (plain, odd)]
    assert results[0].event_id == results[1].event_id
    assert results[1].verdict.hints == (Hint.FUTURE_TIMESTAMP, Hint.KEY_MISMATCH)


def test_a_timestamp_that_was_not_sent_is_not_ahead() -> None:
    cancel = ours(price=None, kind="cancel")
    assert Hint.FUTURE_TIMESTAMP not in hints(*arrived(cancel, theirs(), received_at_ns=SECOND_NS))
