"""Silence, in the pure core: when a source is silent, what it explains, and when a hold ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import arrived, booked, ours, theirs

from traderecon.matching.groups import effective_sides
from traderecon.matching.sides import sides_of
from traderecon.matching.silence import (
    BACKLOG_NS,
    KNOWN_PAUSES,
    SilenceTerms,
    SourceState,
    awaited,
    counterpart_speaks,
    hear,
    longest_pause_ns,
    names_of,
    restarted,
    silent_since_ns,
    states_of,
)
from traderecon.matching.verdict import judge
from traderecon.records import Reason, Source, State, Verdict
from traderecon.records.activity import Activity, source_name
from traderecon.records.instants import FOREVER_NS, NS_PER_S
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules

EXECUTIONS, CONFIRMATIONS, PNL = map(source_name, Source)
GRACE_NS = 60 * NS_PER_S
TERMS = SilenceTerms(900 * NS_PER_S, 30 * NS_PER_S, dict.fromkeys(Source, GRACE_NS))


def heard(*times_s: int, floor_s: int = 30) -> Activity:
    """The activity of a source that spoke at these seconds, read as they came."""
    activity = None
    for at_s in times_s:
        activity = hear(activity, at_s * NS_PER_S, at_s * NS_PER_S, floor_s * NS_PER_S)
    assert activity is not None
    return activity


def states(now_s: int, **times: Activity) -> dict[str, SourceState]:
    """The states of executions, confirmations, snapshots, at a second."""
    names = {"ours": EXECUTIONS, "theirs": CONFIRMATIONS, "booked": PNL}
    activities = {names[name]: activity for name, activity in times.items()}
    return dict(states_of(activities, now_s * NS_PER_S, TERMS))


STEADY = heard(*range(1_001))
"""It spoke every second until second 1,000."""


def test_a_source_that_stops_while_the_other_goes_on_is_silent() -> None:
    going_on = heard(*range(2_001))
    assert states(1_030, ours=going_on, theirs=STEADY)[CONFIRMATIONS] is SourceState.SPEAKING
    assert states(1_031, ours=going_on, theirs=STEADY)[CONFIRMATIONS] is SourceState.SILENT
    assert states(1_031, ours=STEADY, theirs=going_on)[EXECUTIONS] is SourceState.SILENT
    assert states(1_031, ours=going_on, booked=STEADY)[PNL] is SourceState.SILENT
    assert states(1_031, theirs=going_on, booked=STEADY)[PNL] is SourceState.SILENT


def test_what_the_other_side_sent_within_a_usual_pause_proves_nothing() -> None:
    assert states(5_000, ours=heard(*range(1_031)), theirs=STEADY)[CONFIRMATIONS] is SourceState.SPEAKING
    assert states(5_000, ours=heard(*range(1_032)), theirs=STEADY)[CONFIRMATIONS] is SourceState.GIVEN_UP


def test_if_both_have_stopped_none_is_silent() -> None:
    assert set(states(50_000, ours=STEADY, theirs=STEADY, booked=STEADY).values()) == {SourceState.SPEAKING}


def test_a_source_that_never_spoke_has_no_state_and_one_without_a_rhythm_speaks() -> None:
    assert CONFIRMATIONS not in states(1_000, ours=STEADY)
    few = heard(*range(KNOWN_PAUSES))
    assert longest_pause_ns(few, 1) is None
    assert states(500, ours=STEADY, theirs=few)[CONFIRMATIONS] is SourceState.SPEAKING
    assert states(500, ours=STEADY, theirs=heard(*range(KNOWN_PAUSES + 1)))[CONFIRMATIONS] is SourceState.SILENT


def test_a_long_pause_before_the_rhythm_is_known_hides_no_silence() -> None:
    """One early trade, ten quiet minutes, then forty seconds of business."""
    going_on = heard(*range(2_001))
    assert states(671, ours=going_on, theirs=heard(0, *range(600, 641)))[CONFIRMATIONS] is SourceState.SILENT


def test_two_long_gaps_shortly_after_each_other_hide_no_silence() -> None:
    """Steady every 3 s; a gap, 21 s of business, a gap, 12 s of business."""
    times = [*range(0, 301, 3), *range(400, 422, 3), *range(521, 534, 3)]
    going_on = heard(*range(2_001))
    assert states(times[-1] + 36, ours=going_on, theirs=heard(*times))[CONFIRMATIONS] is SourceState.SILENT


@given(st.integers(1, 2_000))
def test_any_steady_rhythm_is_learnt(every_s: int) -> None:
    """A source that changes its rhythm is taken for silent a few times, and then no more."""
    times = [*range(100), *range(100 + every_s, 100 + 31 * every_s, every_s)]
    longest_ns = longest_pause_ns(heard(*times), 30 * NS_PER_S)
    assert longest_ns is not None
    assert longest_ns > every_s * NS_PER_S


def test_a_slow_desk_is_not_silent_between_two_trades() -> None:
    slow = heard(*range(0, 6_001, 60))
    assert longest_pause_ns(slow, TERMS.floor_ns) == 180 * NS_PER_S
    assert states(6_180, ours=heard(*range(7_000)), theirs=slow)[CONFIRMATIONS] is SourceState.SPEAKING
    assert states(6_181, ours=heard(*range(7_000)), theirs=slow)[CONFIRMATIONS] is SourceState.SILENT


def test_the_limit_ends_the_hold() -> None:
    going_on = heard(*range(3_001))
    assert states(1_899, ours=going_on, theirs=STEADY)[CONFIRMATIONS] is SourceState.SILENT
    given_up = states(1_900, ours=going_on, theirs=STEADY)[CONFIRMATIONS]
    assert given_up is SourceState.GIVEN_UP
    assert given_up.silent
    assert not given_up.holds


def test_a_source_that_begins_later_than_its_counterpart_has_the_limit_from_then() -> None:
    """Overnight both rest. In the morning the executions come first: confirmations are expected from then on."""
    morning = hear(STEADY, 50_000 * NS_PER_S, 50_000 * NS_PER_S, TERMS.floor_ns)
    activities = {EXECUTIONS: morning, CONFIRMATIONS: STEADY}
    assert silent_since_ns(CONFIRMATIONS, activities) == 50_000 * NS_PER_S
    assert states(50_899, ours=morning, theirs=STEADY)[CONFIRMATIONS] is SourceState.SILENT
    assert states(50_900, ours=morning, theirs=STEADY)[CONFIRMATIONS] is SourceState.GIVEN_UP


def test_a_counterpart_speaks_within_its_own_pause() -> None:
    activities = {EXECUTIONS: STEADY, CONFIRMATIONS: heard(1)}
    assert counterpart_speaks(CONFIRMATIONS, activities, 1_030 * NS_PER_S, TERMS.floor_ns)
    assert not counterpart_speaks(CONFIRMATIONS, activities, 1_031 * NS_PER_S, TERMS.floor_ns)
    assert counterpart_speaks(EXECUTIONS, activities, 31 * NS_PER_S, TERMS.floor_ns)
    assert not counterpart_speaks(PNL, {PNL: STEADY}, 0, TERMS.floor_ns)


def test_after_a_silence_a_fresh_grace_from_the_last_late_leg_and_no_longer_than_the_limit() -> None:
    back = hear(STEADY, 2_000 * NS_PER_S, 2_000 * NS_PER_S, TERMS.floor_ns)
    assert back.resumed_ns == 2_000 * NS_PER_S
    assert hear(STEADY, 1_030 * NS_PER_S, 1_030 * NS_PER_S, TERMS.floor_ns).resumed_ns == 0  # as long as is usual
    going_on = heard(*range(4_000))
    assert states(2_030, ours=going_on, theirs=back)[CONFIRMATIONS] is SourceState.CATCHING_UP
    back = back._replace(spoke_ns=3_900 * NS_PER_S)
    assert states(2_059, ours=going_on, theirs=back)[CONFIRMATIONS] is SourceState.CATCHING_UP
    assert states(2_060, ours=going_on, theirs=back)[CONFIRMATIONS] is SourceState.SPEAKING
    late = back._replace(late_ns=2_050 * NS_PER_S)
    assert states(2_109, ours=going_on, theirs=late)[CONFIRMATIONS] is SourceState.CATCHING_UP
    assert states(2_110, ours=going_on, theirs=late)[CONFIRMATIONS] is SourceState.SPEAKING
    endless = back._replace(late_ns=3_890 * NS_PER_S)
    assert states(2_899, ours=going_on, theirs=endless)[CONFIRMATIONS] is SourceState.CATCHING_UP
    assert states(2_900, ours=going_on, theirs=endless)[CONFIRMATIONS] is SourceState.SPEAKING


def test_an_outage_does_not_hide_the_next_one() -> None:
    back = hear(STEADY, 2_000 * NS_PER_S, 2_000 * NS_PER_S, TERMS.floor_ns)
    assert longest_pause_ns(back, TERMS.floor_ns) == 45 * NS_PER_S
    for at_s in range(2_001, 2_030):
        back = hear(back, at_s * NS_PER_S, at_s * NS_PER_S, TERMS.floor_ns)
    assert longest_pause_ns(back, TERMS.floor_ns) == TERMS.floor_ns


def test_leaps_through_a_backlog_are_no_pauses() -> None:
    watermark_ns = 1_000 * NS_PER_S
    leapt = hear(STEADY, watermark_ns + BACKLOG_NS + 1, watermark_ns, TERMS.floor_ns)
    assert leapt == STEADY._replace(spoke_ns=watermark_ns + BACKLOG_NS + 1)
    near = hear(STEADY, watermark_ns + BACKLOG_NS, watermark_ns, TERMS.floor_ns)
    assert near.pause_ns == BACKLOG_NS
    far = hear(STEADY, 2_000 * NS_PER_S, watermark_ns, TERMS.floor_ns)
    assert (far.resumed_ns, far.pause_ns) == (far.spoke_ns, STEADY.pause_ns)


def test_a_broker_is_measured_by_its_own_legs() -> None:
    names = {side: source_name(side, "GSCO") for side in (Source.EXECUTIONS, Source.CONFIRMATIONS)}
    going_on = heard(*range(2_001))
    activities = {EXECUTIONS: going_on, CONFIRMATIONS: going_on, names[Source.CONFIRMATIONS]: STEADY}
    now_ns = 1_100 * NS_PER_S
    assert set(states_of(activities, now_ns, TERMS).values()) == {SourceState.SPEAKING}
    activities[names[Source.EXECUTIONS]] = going_on
    assert states_of(activities, now_ns, TERMS)[names[Source.CONFIRMATIONS]] is SourceState.SILENT
    assert states_of(activities, now_ns, TERMS)[CONFIRMATIONS] is SourceState.SPEAKING
    activities[names[Source.CONFIRMATIONS]] = hear(STEADY, now_ns, now_ns, TERMS.floor_ns)
    assert states_of(activities, now_ns, TERMS)[names[Source.CONFIRMATIONS]] is SourceState.CATCHING_UP


def test_a_reset_of_time_counts_as_heard() -> None:
    reset = restarted(STEADY._replace(late_ns=5), 500 * NS_PER_S)
    assert (reset.spoke_ns, reset.resumed_ns, reset.late_ns) == (500 * NS_PER_S, 500 * NS_PER_S, 0)
    assert hear(reset, 400 * NS_PER_S, 0, TERMS.floor_ns) == reset


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=60),
    st.integers(1, 100),
    st.integers(0, 200_000),
)
def test_what_is_heard_late_or_twice_changes_nothing(times: list[int], floor: int, watermark: int) -> None:
    activity: Activity | None = None
    for at in times:
        before, activity = activity, hear(activity, at, watermark, floor)
        assert hear(activity, at, watermark, floor) == activity
        assert all(isinstance(number, int) for number in activity)
        assert activity.spoke_ns == (at if before is None else max(at, before.spoke_ns))
        longest = longest_pause_ns(activity, floor)
        assert longest is None or longest >= floor


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True).map(sorted),
    st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True).map(sorted),
    st.integers(0, 20_000),
)
def test_nothing_is_held_for_ever(ours_s: list[int], theirs_s: list[int], now_s: int) -> None:
    """Beyond the limit after a source last spoke, or its counterpart began again, it holds nothing."""
    ours, theirs = heard(*ours_s), heard(*theirs_s)
    state = states(now_s, ours=ours, theirs=theirs)[CONFIRMATIONS]
    last_ns = max(theirs.spoke_ns, theirs.resumed_ns, ours.resumed_ns)
    assert not state.holds or now_s * NS_PER_S < last_ns + TERMS.limit_ns + GRACE_NS


def test_a_missing_side_is_explained_by_its_source_and_what_legs_prove_is_not() -> None:
    lone, alleged = sides_of(arrived(ours())), sides_of(arrived(theirs()))
    assert awaited(lone, judge(lone, FOREVER_NS, FOUNDING)) is Source.CONFIRMATIONS
    assert awaited(alleged, judge(alleged, FOREVER_NS, FOUNDING)) is Source.EXECUTIONS
    contradicting = sides_of(arrived(ours(), ours(price="191")))
    verdict = judge(contradicting, FOREVER_NS, FOUNDING)
    assert Reason.DUPLICATE_CONFLICT in verdict.reasons
    assert awaited(contradicting, verdict) is None
    pair = sides_of(arrived(ours(), theirs()))
    assert awaited(pair, judge(pair, FOREVER_NS, FOUNDING)) is None
    assert awaited(pair, Verdict(State.MISMATCHED, (Reason.MISSING_PNL,))) is Source.PNL
    assert awaited(pair, Verdict(State.MISMATCHED, (Reason.MISSING_PNL, Reason.PRICE_MISMATCH))) is None


@pytest.mark.parametrize(
    ("legs", "source", "names"),
    [
        ([ours()], Source.CONFIRMATIONS, (CONFIRMATIONS,)),
        ([ours(broker="GSCO")], Source.CONFIRMATIONS, (CONFIRMATIONS, f"{CONFIRMATIONS}/GSCO")),
        ([theirs(broker="GSCO")], Source.EXECUTIONS, (EXECUTIONS, f"{EXECUTIONS}/GSCO")),
        ([ours(broker="GSCO"), theirs()], Source.PNL, (PNL,)),
        ([booked()], Source.EXECUTIONS, (EXECUTIONS,)),
    ],
)
def test_the_names_of_a_source(legs: list[object], source: Source, names: tuple[str, ...]) -> None:
    assert names_of(source, sides_of(arrived(*legs))) == names  # type: ignore[arg-type]


def test_the_terms_are_part_of_an_audited_change_of_rules() -> None:
    assert TERMS.longest_ns == TERMS.limit_ns + GRACE_NS
    assert TERMS.content() == {"limit_seconds": 900, "floor_seconds": 30}
    halves = TERMS._replace(limit_ns=TERMS.limit_ns + NS_PER_S // 2, floor_ns=TERMS.floor_ns + NS_PER_S // 2)
    assert halves.content() == TERMS.content()


def test_a_group_whose_quantities_differ_waits_for_the_source_of_the_smaller() -> None:
    rules = parse_rules('name = "orders"\ngroup_by = "order_id"')
    for quantities, source in ((("60", "100"), Source.EXECUTIONS), (("100", "60"), Source.CONFIRMATIONS)):
        legs = ours(quantity=quantities[0], member_id="F1"), theirs(quantity=quantities[1], member_id="B1")
        sides = effective_sides(arrived(*legs), rules)
        assert awaited(sides, judge(sides, FOREVER_NS, rules)) is source
    legs = ours(quantity="60", member_id="F1"), theirs(ticker="MSFT", member_id="B1")
    sides = effective_sides(arrived(*legs), rules)
    assert awaited(sides, judge(sides, FOREVER_NS, rules)) is None
