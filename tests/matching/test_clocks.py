"""C19: the times of a broker that drift one way are said before a trade breaks for it, once for the broker."""

import pytest
from legs import SECOND_NS, arrived, ours, theirs
from msgspec.structs import replace

from traderecon.matching import judge, sides_of
from traderecon.matching.clocks import BROKERS_KEPT, PAIRS_KEPT, PAIRS_NEEDED, Clocks, Drift, merge
from traderecon.records import Kind, Leg
from traderecon.records.instants import FOREVER_NS, NS_PER_MS, NS_PER_S
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import parse_rules


def watched(*drifts_ms: int, broker: str | None = "BRKA") -> Clocks:
    clocks = Clocks()
    for drift_ms in drifts_ms:
        add(clocks, ours(), theirs(broker=broker, timestamp_ns=SECOND_NS + drift_ms * NS_PER_MS))
    return clocks


def add(clocks: Clocks, *legs: Leg, rules: Rules = FOUNDING) -> None:
    sides = sides_of(arrived(*legs))
    clocks.add(sides, judge(sides, FOREVER_NS, rules))


def test_two_hundred_trades_near_the_tolerance_are_one_finding() -> None:
    clocks = watched(*(80 + number % 20 for number in range(200)))
    assert clocks.drifting() == {
        "BRKA": "the confirmations of BRKA are later than the executions by more than half of the tolerance in 200 of "
        "200 trades: one of the two clocks is wrong. Compare both with UTC before trades break."
    }


def test_a_clock_that_is_ahead_is_said_to_be_earlier() -> None:
    assert (
        watched(*[-80] * PAIRS_NEEDED)
        .drifting()["BRKA"]
        .startswith(
            "the confirmations of BRKA are earlier than the executions by more than half of the tolerance in 50"
        )
    )


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
    clocks = Clocks()
    cancelled = theirs(broker="B", kind=Kind.CANCEL)
    for legs in ((ours(broker="B"),), (theirs(broker="B"),), (ours(broker="B"), cancelled)):
        add(clocks, *legs)
    add(clocks, ours(broker="B"), replace(theirs(), timestamp_ns=None))
    add(clocks, ours(broker="B"), theirs(broker="B"), rules=parse_rules('name = "x"\n[checks]\ntimestamp = false'))
    assert clocks.drifts == {}
    add(clocks, ours(broker="B"), theirs())
    assert [*clocks.drifts] == ["B"]


def test_the_tolerance_of_the_trade_counts() -> None:
    """Whole seconds that agree, and a broker with a tolerance of its own, are no evidence."""
    aware = parse_rules('name = "x"\n[checks.timestamp]\nprecision = "granularity_aware"')
    wide = parse_rules('name = "x"\n[[override]]\nbroker = "B"\n[override.checks.timestamp]\nprofile = "EU_VOICE"')
    for rules, granularity in ((aware, 0), (wide, 3)):
        clocks = Clocks()
        for _ in range(PAIRS_NEEDED):
            early = theirs(broker="B", timestamp_ns=SECOND_NS - 700 * NS_PER_MS, granularity=3)
            add(
                clocks, ours(broker="B", timestamp_ns=SECOND_NS - NS_PER_S, granularity=granularity), early, rules=rules
            )
        assert clocks.drifts["B"].pairs == PAIRS_NEEDED
        assert clocks.drifting() == {}


def test_names_of_brokers_are_bounded() -> None:
    clocks = Clocks()
    for number in range(BROKERS_KEPT + 5):
        add(clocks, ours(), theirs(broker=f"B{number}"))
    assert len(clocks.drifts) == BROKERS_KEPT


def test_a_clock_that_is_right_again_is_forgotten() -> None:
    clocks = watched(*[80] * PAIRS_KEPT)
    clocks.forget()
    assert clocks.drifts["BRKA"] == Drift(PAIRS_KEPT // 2, PAIRS_KEPT // 2, 0)
    clocks.drifts["BRKA"] = Drift(PAIRS_KEPT + 1, 201, 101)
    clocks.forget()
    assert clocks.drifts["BRKA"] == Drift(PAIRS_KEPT // 2, 100, 50)
    few = watched(80)
    few.forget()
    assert few.drifts["BRKA"] == Drift(1, 1, 0)


def test_parts_add_up() -> None:
    whole = watched(*[80] * 30, *[-80] * 20).drifts
    parts = watched(*[80] * 30).drifts
    merge(parts, watched(*[-80] * 20).drifts.items())
    assert parts == whole
    merge(parts, [("BRKB", Drift(4, 2, 1)), ("BRKB", Drift(5, 3, 1))])
    assert parts["BRKB"] == Drift(9, 5, 2)
