"""C19: the times of a broker that drift one way are said before a trade breaks for it, once for the broker."""

import pytest
from legs import SECOND_NS, arrived, ours, theirs

from traderecon.matching import sides_of
from traderecon.matching.clocks import PAIRS_KEPT, PAIRS_NEEDED, Clocks, Drift, clock_texts, merge
from traderecon.records.instants import NS_PER_MS
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules


def watched(*drifts_ms: int, broker: str | None = "BRKA") -> Clocks:
    clocks = Clocks(FOUNDING)
    for drift_ms in drifts_ms:
        confirmation = theirs(broker=broker, timestamp_ns=SECOND_NS + drift_ms * NS_PER_MS)
        clocks.add(sides_of(arrived(ours(), confirmation)))
    return clocks


def test_two_hundred_trades_near_the_tolerance_are_one_finding() -> None:
    clocks = watched(*(80 + number % 20 for number in range(200)))
    assert clocks.drifting() == {
        "BRKA": "the confirmations of BRKA are more than 50 ms later than the executions in 200 of 200 trades: one of "
        "the two clocks is wrong. Compare both with UTC before trades break."
    }
    assert clock_texts(clocks.drifts, FOUNDING) == [*clocks.drifting().values()]


@pytest.mark.parametrize(
    ("drifts_ms", "suspect"),
    [
        ([-80] * PAIRS_NEEDED, True),
        ([80] * (PAIRS_NEEDED - 1), False),
        ([50] * 200, False),  # half of the tolerance says nothing
        ([51] * 200, True),
        ([-50] * 200, False),  # a confirmation a little earlier is no evidence
        ([80, -80] * 100, False),
        ([80] * 90 + [0] * 10, True),
        ([80] * 89 + [0] * 11, False),
        ([500] * 100, True),
    ],
)
def test_a_trend_needs_enough_pairs_in_one_direction(drifts_ms: list[int], suspect: bool) -> None:
    assert bool(watched(*drifts_ms).drifting()) is suspect


def test_what_is_no_pair_of_a_broker_does_not_count() -> None:
    assert watched(*[80] * 100, broker=None).drifts == {}
    clocks = Clocks(FOUNDING)
    for legs in ((ours(broker="B"),), (theirs(broker="B"),), (ours(broker="B"), theirs(timestamp_ns=None))):
        clocks.add(sides_of(arrived(*legs)))
    assert clocks.drifts == {}
    off = Clocks(parse_rules('name = "x"\n[checks]\ntimestamp = false'))
    off.add(sides_of(arrived(ours(broker="B"), theirs(broker="B"))))
    assert (off.drifts, off.drifting()) == ({}, {})
    clocks.add(sides_of(arrived(ours(broker="B"), theirs())))
    assert [*clocks.drifts] == ["B"]


def test_a_clock_that_is_right_again_is_forgotten() -> None:
    clocks = watched(*[80] * PAIRS_KEPT)
    clocks.forget()
    assert clocks.drifts["BRKA"] == Drift(PAIRS_KEPT // 2, PAIRS_KEPT // 2, 0)
    few = watched(80)
    few.forget()
    assert few.drifts["BRKA"] == Drift(1, 1, 0)


def test_parts_add_up() -> None:
    whole = watched(*[80] * 30, *[-80] * 20).drifts
    parts = watched(*[80] * 30).drifts
    merge(parts, watched(*[-80] * 20).drifts.items())
    assert parts == whole
