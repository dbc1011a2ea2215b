"""Business time: nights, weekends, holidays and changes of the clocks do not count. Source: DOMAIN.md F34."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.records.business_time import (
    Calendar,
    OpenSince,
    UnknownZone,
    after_business_hours,
    business_s,
    next_cut_off,
    opened_s,
)
from traderecon.records.instants import NS_PER_S

NEW_YORK = Calendar("America/New_York", 8 * 60, 18 * 60, holidays=("2025-07-04", "2025-11-27"))
ROUND_THE_CLOCK = Calendar("UTC", 0, 1_440, days=(1, 2, 3, 4, 5, 6, 7))
HOUR = 3_600


def at(text: str, zone: str = "America/New_York") -> int:
    """Local time as seconds since 1970."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2025-07-25T20:00", "2025-07-27T23:00", 0),  # opened on Friday evening, looked at on Sunday
        ("2025-07-25T20:00", "2025-07-28T08:00", 0),
        ("2025-07-25T20:00", "2025-07-28T09:30", 1.5),
        ("2025-07-25T17:00", "2025-07-28T09:00", 2),
        ("2025-07-25T10:00", "2025-07-25T12:30", 2.5),
        ("2025-07-03T17:00", "2025-07-07T09:00", 2),  # over a holiday and a weekend
        ("2025-10-31T08:00", "2025-11-03T18:00", 20),  # the clocks go back on Sunday
        ("2025-07-25T12:00", "2025-07-25T10:00", 0),
    ],
)
def test_only_opening_hours_count(start: str, end: str, hours: float) -> None:
    assert business_s(NEW_YORK, at(start), at(end)) == hours * HOUR


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2025-07-25T20:00", 1, "2025-07-28T09:00"),
        ("2025-07-25T10:00", 8, "2025-07-25T18:00"),
        ("2025-07-25T10:00", 24, "2025-07-29T14:00"),
        ("2025-07-03T17:00", 2, "2025-07-07T09:00"),
    ],
)
def test_when_so_many_hours_have_passed(start: str, hours: int, end: str) -> None:
    assert after_business_hours(NEW_YORK, at(start), hours) == at(end)


def test_an_hour_that_the_clocks_skip_or_repeat() -> None:
    night = Calendar("Europe/Berlin", 60, 240, days=(7,))
    for day, hours in (("2025-03-30", 2), ("2025-10-26", 4)):
        midnight = at(f"{day}T00:00", "Europe/Berlin")
        assert business_s(night, midnight, midnight + 26 * HOUR) == hours * HOUR


@given(st.integers(0, 4_000_000_000), st.integers(0, 10_000_000), st.integers(0, 10_000_000))
def test_business_time_adds_up(start_s: int, first_s: int, second_s: int) -> None:
    middle_s, end_s = start_s + first_s, start_s + first_s + second_s
    parts = business_s(NEW_YORK, start_s, middle_s) + business_s(NEW_YORK, middle_s, end_s)
    assert parts == business_s(NEW_YORK, start_s, end_s) <= end_s - start_s
    assert business_s(ROUND_THE_CLOCK, start_s, end_s) == end_s - start_s


@given(st.integers(0, 4_000_000_000), st.lists(st.integers(0, 3_000_000), min_size=1), st.integers(0, 2_000_000))
def test_the_business_time_of_many_is_that_of_each(first_s: int, later_s: list[int], until_s: int) -> None:
    starts = [first_s + later for later in later_s]
    since = OpenSince(NEW_YORK, min(starts), first_s + until_s)
    assert [since.business_s(start) for start in starts] == [
        business_s(NEW_YORK, start, first_s + until_s) for start in starts
    ]


@given(st.integers(0, 4_000_000_000), st.integers(1, 500))
def test_after_so_many_hours_so_many_have_passed(start_s: int, hours: int) -> None:
    end_s = after_business_hours(NEW_YORK, start_s, hours)
    assert business_s(NEW_YORK, start_s, end_s) == hours * HOUR
    assert business_s(NEW_YORK, start_s, end_s - 1) == hours * HOUR - 1


def test_a_break_takes_the_holidays_of_a_year_along() -> None:
    days = tuple((datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=10 * i)).date().isoformat() for i in range(100))
    calendar = Calendar("UTC", 0, 1_440, holidays=days)
    kept = calendar.from_time(at("2024-06-01T00:00", "UTC") * NS_PER_S).holidays
    assert (kept[0], kept[-1]) == ("2024-06-09", "2025-07-04")
    assert calendar.from_time(2**62).holidays == ()


def test_a_calendar_of_another_program_is_bounded() -> None:
    wrong: list[dict[str, object]] = [{"opens": -1}, {"closes": 1_441}, {"closes": 59}, {"days": []}, {"days": [8]}]
    for members in wrong:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"zone": "UTC", "opens": 0, "closes": 600, **members}, Calendar)
    with pytest.raises(UnknownZone):
        after_business_hours(Calendar("Mars/Olympus", 0, 600), 0, 1)


@pytest.mark.parametrize("instant_s", [-(10**14), 253_402_300_799, 10**15])
def test_a_time_of_another_program_is_no_error(instant_s: int) -> None:
    assert business_s(NEW_YORK, instant_s, instant_s) == 0
    assert after_business_hours(NEW_YORK, instant_s, 1) != 0
    assert NEW_YORK.from_time(instant_s * NS_PER_S).holidays == ()


@pytest.mark.parametrize(
    ("cut_off", "after", "wanted"),
    [
        (21 * 60, "2025-07-25T20:59:59", "2025-07-25T21:00"),
        (21 * 60, "2025-07-25T21:00", "2025-07-28T21:00"),
        (21 * 60, "2025-07-26T12:00", "2025-07-28T21:00"),
        (7 * 60, "2025-07-25T06:00", "2025-07-25T07:00"),
        (1_440, "2025-07-25T23:59", "2025-07-26T00:00"),
        (1_440, "2025-07-26T00:00", "2025-07-29T00:00"),
        (21 * 60, "2025-07-03T21:00", "2025-07-07T21:00"),  # over a holiday and a week-end
        (21 * 60, "2025-10-31T21:00", "2025-11-03T21:00"),  # the clocks go back
    ],
)
def test_the_next_cut_off_is_that_of_a_business_day(cut_off: int, after: str, wanted: str) -> None:
    desk = msgspec.structs.replace(NEW_YORK, cut_off=cut_off)
    assert next_cut_off(desk, at(after)) == at(wanted)
    assert next_cut_off(NEW_YORK, at(after)) is None


@pytest.mark.parametrize(
    ("now", "opened"),
    [
        ("2025-07-25T08:00", "2025-07-25T08:00"),
        ("2025-07-25T07:59:59", "2025-07-24T08:00"),
        ("2025-07-25T23:59", "2025-07-25T08:00"),
        ("2025-07-26T23:00", "2025-07-25T08:00"),
        ("2025-07-27T12:00", None),
    ],
)
def test_when_the_desk_last_opened(now: str, opened: str | None) -> None:
    assert opened_s(NEW_YORK, at(now)) == (None if opened is None else at(opened))


def test_a_day_that_begins_when_the_one_before_ends_is_no_opening() -> None:
    friday = at("2025-07-25T00:00", "UTC")
    assert opened_s(ROUND_THE_CLOCK, friday + 5) == friday - 24 * HOUR
    assert opened_s(msgspec.structs.replace(ROUND_THE_CLOCK, opens=1), friday + 65) == friday + 60


def test_the_years_end() -> None:
    last_s = at("9998-12-01T00:00", "UTC")
    assert after_business_hours(NEW_YORK, last_s, 87_600) < at("9999-01-01T00:00", "UTC")
    assert business_s(NEW_YORK, last_s, 10**12) == business_s(NEW_YORK, last_s, 10**13) > 0
    desk = msgspec.structs.replace(NEW_YORK, cut_off=1)
    assert (next_cut_off(desk, 10**15) or 0) < at("9999-01-01T00:00", "UTC")
