"""Silence, in the pure core: when a source is silent, what it explains, and when a hold ends."""

import msgspec
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
    hear,
    longest_pause_ns,
    names_of,
    restarted,
    should_speak,
    silent_since_ns,
    states_of,
)
from traderecon.matching.verdict import judge
from traderecon.records import Reason, Source, State, Verdict
from traderecon.records.activity import Activity, source_name
from traderecon.records.business_time import Calendar, cut_offs
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
        activity = hear(
            CONFIRMATIONS, activity, at_s * NS_PER_S, at_s * NS_PER_S, TERMS._replace(floor_ns=floor_s * NS_PER_S)
        )
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
    morning = hear(CONFIRMATIONS, STEADY, 50_000 * NS_PER_S, 50_000 * NS_PER_S, TERMS)
    activities = {EXECUTIONS: morning, CONFIRMATIONS: STEADY}
    assert silent_since_ns(CONFIRMATIONS, activities, 50_000 * NS_PER_S, TERMS) == 50_000 * NS_PER_S
    assert states(50_899, ours=morning, theirs=STEADY)[CONFIRMATIONS] is SourceState.SILENT
    assert states(50_900, ours=morning, theirs=STEADY)[CONFIRMATIONS] is SourceState.GIVEN_UP


def test_a_counterpart_speaks_within_its_own_pause() -> None:
    activities = {EXECUTIONS: STEADY, CONFIRMATIONS: heard(1)}
    assert should_speak(CONFIRMATIONS, activities, 1_030 * NS_PER_S, TERMS)
    assert not should_speak(CONFIRMATIONS, activities, 1_031 * NS_PER_S, TERMS)
    assert should_speak(EXECUTIONS, activities, 31 * NS_PER_S, TERMS)
    assert not should_speak(PNL, {PNL: STEADY}, 0, TERMS)


def test_after_a_silence_a_fresh_grace_from_the_last_late_leg_and_no_longer_than_the_limit() -> None:
    back = hear(CONFIRMATIONS, STEADY, 2_000 * NS_PER_S, 2_000 * NS_PER_S, TERMS)
    assert back.resumed_ns == 2_000 * NS_PER_S
    assert hear(CONFIRMATIONS, STEADY, 1_030 * NS_PER_S, 1_030 * NS_PER_S, TERMS).resumed_ns == 0  # as long as is usual
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
    back = hear(CONFIRMATIONS, STEADY, 2_000 * NS_PER_S, 2_000 * NS_PER_S, TERMS)
    assert longest_pause_ns(back, TERMS.floor_ns) == 45 * NS_PER_S
    for at_s in range(2_001, 2_030):
        back = hear(CONFIRMATIONS, back, at_s * NS_PER_S, at_s * NS_PER_S, TERMS)
    assert longest_pause_ns(back, TERMS.floor_ns) == TERMS.floor_ns


def test_leaps_through_a_backlog_are_no_pauses() -> None:
    watermark_ns = 1_000 * NS_PER_S
    leapt = hear(CONFIRMATIONS, STEADY, watermark_ns + BACKLOG_NS + 1, watermark_ns, TERMS)
    assert leapt == STEADY._replace(spoke_ns=watermark_ns + BACKLOG_NS + 1)
    near = hear(CONFIRMATIONS, STEADY, watermark_ns + BACKLOG_NS, watermark_ns, TERMS)
    assert near.pause_ns == BACKLOG_NS
    far = hear(CONFIRMATIONS, STEADY, 2_000 * NS_PER_S, watermark_ns, TERMS)
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
    activities[names[Source.CONFIRMATIONS]] = hear(CONFIRMATIONS, STEADY, now_ns, now_ns, TERMS)
    assert states_of(activities, now_ns, TERMS)[names[Source.CONFIRMATIONS]] is SourceState.CATCHING_UP


def test_a_reset_of_time_counts_as_heard() -> None:
    reset = restarted(STEADY._replace(late_ns=5), 500 * NS_PER_S)
    assert (reset.spoke_ns, reset.resumed_ns, reset.late_ns) == (500 * NS_PER_S, 500 * NS_PER_S, 0)
    assert hear(CONFIRMATIONS, reset, 400 * NS_PER_S, 0, TERMS) == reset


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=60),
    st.integers(1, 100),
    st.integers(0, 200_000),
)
def test_what_is_heard_late_or_twice_changes_nothing(times: list[int], floor: int, watermark: int) -> None:
    activity: Activity | None = None
    terms = TERMS._replace(floor_ns=floor)
    for at in times:
        before, activity = activity, hear(CONFIRMATIONS, activity, at, watermark, terms)
        assert hear(CONFIRMATIONS, activity, at, watermark, terms) == activity
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
    assert TERMS.latest_ns(5) == 5 + TERMS.limit_ns + GRACE_NS
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


LONDON = Calendar("Europe/London", 8 * 60, 17 * 60)
SUNDAY_S, MONDAY_S = 1_753_574_400, 1_753_660_800  # 2025-07-27 and 28, 00:00 UTC; London is an hour ahead
SCHEDULED = TERMS._replace(schedules={Source.CONFIRMATIONS: LONDON})


def scheduled(at_s: int, theirs: Activity, ours: Activity | None = None) -> SourceState:
    activities = {CONFIRMATIONS: theirs, **({} if ours is None else {EXECUTIONS: ours})}
    return states_of(activities, at_s * NS_PER_S, SCHEDULED)[CONFIRMATIONS]


def clock_s(text: str, day_s: int = MONDAY_S) -> int:
    """A time of a day in London."""
    hours, minutes, seconds = map(int, text.split(":"))
    return day_s + (hours - 1) * 3_600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("spoke", "now", "state"),
    [
        ("09:00:00", "09:00:30", SourceState.SPEAKING),  # the floor
        ("09:00:00", "09:00:31", SourceState.SILENT),
        ("09:00:00", "09:14:59", SourceState.SILENT),
        ("09:00:00", "09:15:00", SourceState.GIVEN_UP),
        ("16:59:50", "17:30:00", SourceState.SPEAKING),  # ten seconds of its schedule
        ("16:59:20", "17:00:10", SourceState.SILENT),
        ("16:59:20", "17:14:20", SourceState.GIVEN_UP),
    ],
)
def test_a_scheduled_source_is_silent_without_a_rhythm_and_without_a_counterpart(
    spoke: str, now: str, state: SourceState
) -> None:
    assert scheduled(clock_s(now), Activity(clock_s(spoke) * NS_PER_S)) is state


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("07:59:59", SourceState.SPEAKING),
        ("08:00:30", SourceState.SPEAKING),
        ("08:00:31", SourceState.SILENT),
        ("08:14:59", SourceState.SILENT),
        ("08:15:00", SourceState.GIVEN_UP),
    ],
)
def test_a_night_and_a_week_end_are_no_pause_and_the_limit_counts_from_the_opening(
    now: str, state: SourceState
) -> None:
    friday = Activity(clock_s("17:00:00", SUNDAY_S - 2 * 86_400) * NS_PER_S)
    assert scheduled(clock_s(now), friday) is state
    assert scheduled(clock_s("12:00:00", SUNDAY_S), friday) is SourceState.SPEAKING


def test_a_scheduled_source_that_is_back_catches_up_and_after_a_night_it_does_not() -> None:
    spoke = Activity(clock_s("09:00:00") * NS_PER_S)
    back_ns = clock_s("09:10:00") * NS_PER_S
    back = hear(CONFIRMATIONS, spoke, back_ns, back_ns, SCHEDULED)
    assert back.resumed_ns == back_ns
    assert hear(CONFIRMATIONS, spoke, back_ns, back_ns, TERMS).resumed_ns == 0  # without a rhythm
    assert scheduled(clock_s("09:10:30"), back) is SourceState.CATCHING_UP
    friday = Activity(clock_s("16:59:50", SUNDAY_S - 2 * 86_400) * NS_PER_S, pauses=KNOWN_PAUSES)
    early_ns = clock_s("08:00:10") * NS_PER_S
    morning = hear(CONFIRMATIONS, friday, early_ns, early_ns, SCHEDULED)
    assert (morning.resumed_ns, morning.pause_ns) == (0, 20 * NS_PER_S)


def test_the_rhythm_of_a_scheduled_source_counts_if_it_is_known() -> None:
    slow = Activity(clock_s("09:00:00") * NS_PER_S, 60 * NS_PER_S, KNOWN_PAUSES)
    assert scheduled(clock_s("09:03:00"), slow) is SourceState.SPEAKING
    assert scheduled(clock_s("09:03:01"), slow) is SourceState.SILENT
    unknown = slow._replace(pauses=KNOWN_PAUSES - 1)
    assert scheduled(clock_s("09:00:31"), unknown) is SourceState.SILENT


def test_a_broker_of_a_scheduled_source_needs_its_counterpart_and_pauses_within_the_schedule() -> None:
    names = {side: source_name(side, "GSCO") for side in (Source.EXECUTIONS, Source.CONFIRMATIONS)}
    theirs = Activity(clock_s("16:59:50", SUNDAY_S - 2 * 86_400) * NS_PER_S, pauses=KNOWN_PAUSES)

    def state(now: str, *, ours: str) -> SourceState:
        going_on = Activity(clock_s(ours) * NS_PER_S, pauses=KNOWN_PAUSES)
        activities = {names[Source.EXECUTIONS]: going_on, names[Source.CONFIRMATIONS]: theirs}
        return states_of(activities, clock_s(now) * NS_PER_S, SCHEDULED)[names[Source.CONFIRMATIONS]]

    assert state("08:00:20", ours="08:00:20") is SourceState.SPEAKING
    assert state("08:00:21", ours="08:00:21") is SourceState.SILENT
    assert state("09:00:00", ours="08:00:20") is SourceState.SPEAKING
    assert not should_speak(names[Source.CONFIRMATIONS], {}, 0, SCHEDULED)
    for now, speaks in (("07:59:59", False), ("08:00:00", True), ("16:59:59", True), ("17:00:00", False)):
        assert should_speak(CONFIRMATIONS, {}, clock_s(now) * NS_PER_S, SCHEDULED) is speaks


def test_executions_of_the_night_begin_no_new_limit_of_a_scheduled_source() -> None:
    silent = Activity(clock_s("16:59:00") * NS_PER_S)
    night_ns = clock_s("18:00:00") * NS_PER_S
    ours = Activity(night_ns, pauses=KNOWN_PAUSES, resumed_ns=night_ns)
    assert scheduled(clock_s("17:13:59"), silent) is SourceState.SILENT
    assert scheduled(clock_s("18:00:01"), silent, ours) is SourceState.GIVEN_UP


def test_a_round_the_clock_source_that_was_given_up_is_not_waited_for_at_midnight() -> None:
    terms = TERMS._replace(schedules={Source.CONFIRMATIONS: Calendar("UTC", 0, 1_440, days=(1, 2, 3, 4, 5, 6, 7))})
    activities = {CONFIRMATIONS: Activity((MONDAY_S - 7_200) * NS_PER_S)}
    for after_s in (-5_000, 5, 86_400 + 5):
        state = states_of(activities, (MONDAY_S + after_s) * NS_PER_S, terms)[CONFIRMATIONS]
        assert state is SourceState.GIVEN_UP


def test_a_hold_ends_at_the_cut_off() -> None:
    desk = msgspec.structs.replace(LONDON, cut_off=18 * 60)
    terms = TERMS._replace(cut_off=cut_offs(desk))
    spoke_s = clock_s("17:50:00")
    ours, theirs = heard_from(spoke_s, 900), heard_from(spoke_s - 60, 60)

    def state(now: str, theirs: Activity = theirs) -> SourceState:
        activities = {EXECUTIONS: ours, CONFIRMATIONS: theirs}
        return states_of(activities, clock_s(now) * NS_PER_S, terms)[CONFIRMATIONS]

    assert state("17:59:59") is SourceState.SILENT
    assert state("18:00:00") is SourceState.GIVEN_UP
    back_ns = clock_s("17:59:30") * NS_PER_S
    back = hear(CONFIRMATIONS, theirs, back_ns, back_ns, terms)
    assert state("17:59:59", back) is SourceState.CATCHING_UP
    assert state("18:00:00", back) is SourceState.SPEAKING
    assert terms.until_ns(clock_s("18:00:00") * NS_PER_S) == clock_s("18:15:00") * NS_PER_S
    assert terms.latest_ns(clock_s("17:59:59") * NS_PER_S) == clock_s("18:00:00") * NS_PER_S
    assert terms.latest_ns(clock_s("17:30:00") * NS_PER_S) == clock_s("17:46:00") * NS_PER_S


def heard_from(start_s: int, seconds: int) -> Activity:
    return heard(*range(start_s, start_s + seconds))
