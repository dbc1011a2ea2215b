"""The log's clock: which steps are believed, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.intake.log_clock import CONFIRM_MS, RECENT_MS, SETTLE_MS, LogClock, Reading

BOUND_MS = 10_000
HOUR_MS = 3_600_000
BASE_MS = 1_800_000_000_000
"""The log's time when the machine was started."""


def reading_at(boot_ms: int, off_ms: int = 0, took_ms: int = 0) -> Reading:
    """A reading at this moment of the boot-time clock, of a clock with this error."""
    return Reading(BASE_MS + boot_ms - took_ms + off_ms, boot_ms - took_ms, boot_ms)


def ahead(clock: LogClock) -> dict[str, int]:
    """The clocks that are not believed, as of the last reading."""
    return dict(clock.ahead(max(reading.boot_ms for reading in clock._readings.values())))


def running(*, settled: bool = True) -> LogClock:
    """A clock with one broker that has been right from the beginning; its next moment is 2 * SETTLE_MS."""
    clock = LogClock(BOUND_MS)
    clock.begin(BASE_MS, 0)
    if settled:
        for boot_ms in range(0, 2 * SETTLE_MS, 1_000):
            clock.observe("broker 1", reading_at(boot_ms))
    return clock


@pytest.mark.matrix("C5")
def test_a_clock_step_is_not_believed_and_time_continues_afterwards() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    before_ms = clock.newest_ms
    clock.observe("broker 1", reading_at(now_ms, HOUR_MS))
    assert clock.newest_ms == before_ms
    assert ahead(clock) == {"broker 1": HOUR_MS}
    assert clock.limit_ms(now_ms) == BASE_MS + now_ms + BOUND_MS
    clock.observe("broker 1", reading_at(now_ms + 4_000))
    assert clock.newest_ms == BASE_MS + now_ms + 4_000
    assert ahead(clock) == {}


@pytest.mark.matrix("C5")
def test_one_broker_of_three_that_is_ahead_stops_nothing() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    for boot_ms in range(now_ms, now_ms + 2 * CONFIRM_MS, 30_000):
        for name, off_ms in (("broker 1", 0), ("broker 2", HOUR_MS), ("broker 3", -200)):
            clock.observe(name, reading_at(boot_ms, off_ms))
        assert clock.newest_ms == BASE_MS + boot_ms
        assert set(ahead(clock)) == {"broker 2"}


@pytest.mark.matrix("C5")
def test_a_step_that_most_clocks_keep_to_is_believed_in_the_end() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    for boot_ms in range(now_ms, now_ms + CONFIRM_MS, 30_000):
        for name in ("broker 1", "broker 2"):
            clock.observe(name, reading_at(boot_ms, HOUR_MS))
        clock.observe("broker 3", reading_at(boot_ms))
        assert clock.newest_ms == BASE_MS + boot_ms
    for name in ("broker 1", "broker 2"):
        clock.observe(name, reading_at(now_ms + CONFIRM_MS, HOUR_MS))
    assert clock.newest_ms == BASE_MS + now_ms + CONFIRM_MS + HOUR_MS
    assert ahead(clock) == {}


@pytest.mark.matrix("C5")
def test_a_broker_alone_confirms_itself_never() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    for boot_ms in range(now_ms, now_ms + 3 * CONFIRM_MS, 30_000):
        clock.observe("broker 1", reading_at(boot_ms, HOUR_MS))
    assert ahead(clock)


@pytest.mark.matrix("C5")
@pytest.mark.parametrize(("wall_off_ms", "believed"), [(HOUR_MS, True), (0, False)])
def test_the_wall_clock_has_a_vote_and_gives_no_time(wall_off_ms: int, believed: bool) -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    clock.observe("this machine", reading_at(now_ms, 2 * HOUR_MS), witness=True)
    assert clock.newest_ms < BASE_MS + now_ms
    for boot_ms in range(now_ms, now_ms + CONFIRM_MS + 1, 30_000):
        clock.observe("this machine", reading_at(boot_ms, wall_off_ms), witness=True)
        clock.observe("broker 1", reading_at(boot_ms, HOUR_MS))
    assert (not ahead(clock)) is believed


@pytest.mark.matrix("C5")
def test_a_step_that_moves_again_restarts_its_confirmation() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    for number, boot_ms in enumerate(range(now_ms, now_ms + 4 * CONFIRM_MS, CONFIRM_MS // 2)):
        for name in ("broker 1", "broker 2"):
            clock.observe(name, reading_at(boot_ms, HOUR_MS * (number + 1)))
    assert set(ahead(clock)) == {"broker 1", "broker 2"}


def test_a_clock_that_drifts_is_followed() -> None:
    clock = running()
    boot_ms = 2 * SETTLE_MS
    for boot_ms in range(2 * SETTLE_MS, 10 * HOUR_MS, 20_000):
        clock.observe("broker 1", reading_at(boot_ms, boot_ms // 1_000))
        assert not ahead(clock)
    assert clock.limit_ms(boot_ms) - BOUND_MS == pytest.approx(BASE_MS + boot_ms + boot_ms // 1_000, abs=500)
    for later_ms in range(boot_ms, boot_ms + 10 * HOUR_MS, 20_000):
        clock.observe("broker 1", reading_at(later_ms, (2 * boot_ms - later_ms) // 1_000))
    assert clock.limit_ms(later_ms) - BOUND_MS == pytest.approx(
        BASE_MS + later_ms + (2 * boot_ms - later_ms) // 1_000, abs=500
    )


def test_a_delayed_answer_moves_nothing() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    limit_ms = clock.limit_ms(0)
    for boot_ms in range(now_ms, now_ms + HOUR_MS, 30_000):
        clock.observe("broker 1", reading_at(boot_ms, took_ms=25_000))
    assert clock.limit_ms(0) == limit_ms
    clock.observe("broker 1", reading_at(now_ms + HOUR_MS))
    assert not ahead(clock)


@pytest.mark.matrix("C5")
def test_a_step_back_makes_time_wait_and_is_reported() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    newest_ms = clock.newest_ms
    clock.observe("broker 1", reading_at(now_ms, -HOUR_MS))
    assert clock.newest_ms == newest_ms
    assert clock.behind_ms(now_ms) == HOUR_MS - 1_000
    clock.observe("broker 2", reading_at(now_ms))
    assert clock.behind_ms(now_ms) == 0
    assert clock.behind_ms(now_ms + RECENT_MS + 1) == 0


@pytest.mark.matrix("C6")
def test_at_the_start_no_time_beyond_the_known_is_believed() -> None:
    clock = running(settled=False)
    assert not clock.settled
    with pytest.raises(ValueError, match="no clock is believed yet"):
        clock.limit_ms(0)
    clock.observe("broker 1", reading_at(100, HOUR_MS))
    assert not clock.settled
    assert clock.newest_ms == 0
    assert ahead(clock) == {"broker 1": HOUR_MS}
    clock.observe("broker 1", reading_at(200))
    assert clock.settled


@pytest.mark.matrix("C6")
def test_a_worker_that_begins_with_an_empty_journal_believes_the_first_clock() -> None:
    clock = LogClock(BOUND_MS)
    clock.begin(None, 0)
    clock.observe("broker 1", reading_at(0, HOUR_MS))
    assert clock.newest_ms == BASE_MS + HOUR_MS


@pytest.mark.matrix("C6")
def test_after_a_week_a_clock_that_agrees_with_what_is_known_is_no_step() -> None:
    clock = LogClock(BOUND_MS)
    clock.begin(BASE_MS + 7 * 24 * HOUR_MS, 0)
    clock.observe("broker 1", reading_at(0, 7 * 24 * HOUR_MS + 3))
    assert clock.settled
    assert not ahead(clock)


def test_one_slow_broker_at_the_beginning_does_not_make_the_others_a_step() -> None:
    clock = running(settled=False)
    clock.observe("broker 1", reading_at(0, -HOUR_MS))
    clock.observe("broker 2", reading_at(100))
    clock.observe("broker 2", reading_at(200))
    assert not ahead(clock)
    assert clock.newest_ms == BASE_MS + 200


def test_a_clock_that_is_no_longer_read_is_not_reported() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    step = reading_at(now_ms, HOUR_MS)
    clock.observe("broker 1", step)
    clock.observe("broker 1", step)
    assert clock.ahead(now_ms + RECENT_MS) == {"broker 1": HOUR_MS}
    assert clock.ahead(now_ms + RECENT_MS + 1) == {}


def test_a_reset_sets_the_time() -> None:
    clock = running()
    now_ms = 2 * SETTLE_MS
    clock.observe("broker 1", reading_at(now_ms, HOUR_MS))
    clock.reset(BASE_MS + now_ms + HOUR_MS, now_ms)
    clock.observe("broker 1", reading_at(now_ms + 100, HOUR_MS))
    assert not ahead(clock)
    assert clock.newest_ms == BASE_MS + now_ms + 100 + HOUR_MS
    clock.reset(BASE_MS + now_ms, now_ms + 200)
    assert clock.newest_ms == BASE_MS + now_ms


@pytest.mark.matrix("C5")
@given(st.lists(st.tuples(st.integers(1, 60_000), st.integers(-2 * HOUR_MS, 2 * HOUR_MS)), max_size=60))
def test_one_clock_takes_time_nowhere_that_has_not_passed(steps: list[tuple[int, int]]) -> None:
    """Whatever one broker reports, the believed time stays within the bound and a drift of one per cent."""
    clock = running()
    boot_ms = 2 * SETTLE_MS
    for passed_ms, off_ms in steps:
        boot_ms += passed_ms
        newest_ms = clock.newest_ms
        clock.observe("broker 1", reading_at(boot_ms, off_ms))
        assert clock.newest_ms >= newest_ms
        assert clock.newest_ms <= BASE_MS + boot_ms + BOUND_MS + boot_ms // 100
