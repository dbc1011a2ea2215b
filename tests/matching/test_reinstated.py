"""A trade that stands again after it was cancelled waits a grace of its own; a side that comes late is named."""

import pytest
from legs import ours, theirs

from tables.facts import StoredFact
from traderecon.matching import judge_facts, sides_of
from traderecon.matching.lifecycle import TradeStep, expire, join
from traderecon.matching.results import to_last_published
from traderecon.records import Fact, Hint, Kind, LastPublished, Leg, Origin, Reason, State, identity
from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING

GRACE_S = FOUNDING.grace_ns // NS_PER_S


def at(seconds: int, leg: Leg, offset: int = 0) -> Fact:
    return Fact(leg, Origin("t", 0, offset, seconds * NS_PER_S))


def state(watermark_s: int, *facts: Fact) -> str:
    verdict = judge_facts(facts, watermark_s * NS_PER_S, FOUNDING)
    return " ".join([verdict.state, *verdict.reasons])


OURS = at(10, ours())
OURS_GONE = at(20, ours(version=2, kind=Kind.CANCEL))
OURS_AGAIN = at(1_000, ours(version=3))
THEIRS = at(30, theirs())
THEIRS_GONE = at(40, theirs(version=2, kind=Kind.CANCEL))


def test_a_side_alone_that_stands_again_waits_from_then() -> None:
    assert state(999, OURS, OURS_GONE) == "CANCELLED"
    assert state(1_000 + GRACE_S - 1, OURS, OURS_GONE, OURS_AGAIN) == "PENDING"
    assert state(1_000 + GRACE_S, OURS, OURS_GONE, OURS_AGAIN) == "UNMATCHED MISSING_CONFIRMATION"


def test_a_side_that_stands_again_beside_a_cancelled_one_waits_before_it_is_a_break() -> None:
    facts = (OURS, OURS_GONE, THEIRS, THEIRS_GONE, OURS_AGAIN)
    assert state(999, *facts[:4]) == "CANCELLED"
    assert state(1_000 + GRACE_S - 1, *facts) == "PENDING"
    assert state(1_000 + GRACE_S, *facts) == "MISMATCHED CANCELLED_ONE_SIDE"
    assert state(1_010, *facts, at(1_005, theirs(version=3))) == "MATCHED"


def test_a_cancel_of_one_side_alone_is_a_break_at_once() -> None:
    assert state(50, OURS, THEIRS, OURS_GONE) == "MISMATCHED CANCELLED_ONE_SIDE"
    later = at(1_000, ours(version=2, kind=Kind.CANCEL))
    assert state(1_001, OURS, THEIRS, later) == "MISMATCHED CANCELLED_ONE_SIDE"


def test_an_amendment_is_no_reinstatement() -> None:
    assert state(1_000, OURS, at(900, ours(version=2))) == "UNMATCHED MISSING_CONFIRMATION"


@pytest.mark.parametrize(
    ("facts", "hints"),
    [
        ((OURS, THEIRS), set()),
        ((OURS, at(10 + GRACE_S, theirs())), {Hint.LATE_CONFIRMATION}),
        ((OURS, at(9 + GRACE_S, theirs())), set()),
        ((at(30 + GRACE_S, ours()), THEIRS), {Hint.LATE_EXECUTION}),
        ((at(30 + GRACE_S, ours()), THEIRS, at(31, theirs(version=2))), {Hint.LATE_EXECUTION}),
        ((OURS, OURS_GONE, OURS_AGAIN, at(1_030, theirs())), set()),  # in time for the trade that stands now
        ((OURS, OURS_GONE, OURS_AGAIN, at(1_000 + GRACE_S, theirs())), {Hint.LATE_CONFIRMATION}),
        ((OURS, OURS_GONE, OURS_AGAIN, THEIRS), set()),  # it was there all the time
        ((OURS, THEIRS, THEIRS_GONE, at(2_000, theirs(version=3))), set()),
    ],
)
def test_the_side_that_comes_late_is_named(facts: tuple[Fact, ...], hints: set[Hint]) -> None:
    late = {Hint.LATE_CONFIRMATION, Hint.LATE_EXECUTION}
    for order in (facts, facts[::-1]):
        assert set(judge_facts(order, 10_000 * NS_PER_S, FOUNDING).hints) & late == hints


def test_two_sides_received_at_once_have_no_second() -> None:
    for facts in (
        (OURS, at(10, theirs())),
        (at(10, theirs()), OURS),
        (OURS, at(10, theirs()), at(11, ours(version=2))),
    ):
        assert sides_of(facts).second is None


def test_the_deadline_follows_the_reinstated_trade() -> None:
    """In the stream: cancelled and published, then a leg that reinstates it, then the watermark."""
    existing: list[StoredFact] = []
    last: LastPublished | None = None
    steps: list[TradeStep] = []
    for offset, fact in enumerate((OURS, OURS_GONE, THEIRS, THEIRS_GONE, OURS_AGAIN)):
        row = StoredFact(identity(fact.leg), fact, offset)
        steps.append(join(existing, last, row, fact.origin.received_at_ns, FOUNDING))
        if (result := steps[-1].result(FOUNDING.stamp())) is not None:
            last = to_last_published(result, steps[-1].upto)
        existing.append(row)
    assert [step.judgement and step.judgement.verdict.state for step in steps] == [
        *(State.PENDING, State.PENDING, State.MISMATCHED, State.CANCELLED, State.PENDING),
    ]
    assert steps[-1].due_ns == (1_000 + GRACE_S) * NS_PER_S
    ended = expire(existing, last, steps[-1].due_ns, FOUNDING)
    result = ended.result(FOUNDING.stamp())
    assert result is not None
    assert (result.verdict.state, result.verdict.reasons) == (State.MISMATCHED, (Reason.CANCELLED_ONE_SIDE,))
    assert result.break_.transition == "opened"
