"""Business time: the hours in which somebody is at the desk, by zone, days of the week and holidays.

    Friday 20:00 to Monday 09:30, desk open 08:00 to 18:00   ->   1.5 business hours

All times are seconds since 1970, UTC. A day without the hour in which the desk opens (a change of the clocks) opens as
``zoneinfo`` reads it. Source: DOMAIN.md F34.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from itertools import accumulate, takewhile
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from traderecon.records.instants import NS_PER_S

S_PER_HOUR = 3_600
MINUTES_PER_DAY = 1_440
SHORTEST_MINUTES = 60
_NS_PER_MINUTE = 60 * NS_PER_S
HOLIDAY_DAYS = 400
"""For so many days a break takes the holidays along, from its first leg on."""
MOST_DATES = 10_000
DayOfWeek = Annotated[int, msgspec.Meta(ge=1, le=7)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = date(9998, 12, 31)
_FIRST_S, _LAST_S = -62_000_000_000, 253_370_678_400
"""In the years 5 and 9998: within what a date can be in every zone."""


class UnknownZone(ValueError):
    """This machine does not know the zone of a calendar."""


class Calendar(msgspec.Struct, frozen=True):
    """Opening hours, of the desk or of a source: from ``opens`` to ``closes`` (minutes since midnight in ``zone``).

    ``days``: of the week, Monday is 1. ``holidays``: ISO 8601 dates, sorted; closed all day. ``cut_off``: the minute of
    a business day by which its trades are to be reconciled; it may be before ``opens`` or after ``closes``.
    """

    zone: str
    opens: Annotated[int, msgspec.Meta(ge=0)]
    closes: Annotated[int, msgspec.Meta(le=MINUTES_PER_DAY)]
    days: Annotated[tuple[DayOfWeek, ...], msgspec.Meta(min_length=1, max_length=7)] = (1, 2, 3, 4, 5)
    holidays: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_DATES)] = ()
    cut_off: Annotated[int, msgspec.Meta(ge=0, le=MINUTES_PER_DAY)] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.closes - self.opens < SHORTEST_MINUTES:
            raise ValueError(f"a day from {self.opens} to {self.closes} is shorter than {SHORTEST_MINUTES} minutes")

    @property
    def hours_of_a_year(self) -> int:
        """About as many business hours as a year has; a break takes the holidays of so many along."""
        return len(self.days) * (self.closes - self.opens) * 50 // 60

    def from_time(self, instant_ns: int) -> "Calendar":
        """The calendar with the holidays of the days from a time on, a little more than a year of them."""
        first = _day_of(instant_ns // NS_PER_S, ZoneInfo(self.zone)) - timedelta(days=1)
        last = min(first, _LAST_DAY - timedelta(days=HOLIDAY_DAYS)) + timedelta(days=HOLIDAY_DAYS)
        kept = tuple([day for day in self.holidays if first.isoformat() <= day <= last.isoformat()])
        return msgspec.structs.replace(self, holidays=kept)


def business_s(calendar: Calendar, start_s: int, end_s: int) -> int:
    """How many seconds of business time lie between two times; 0 if the second is not later."""
    return OpenSince(calendar, start_s, end_s).business_s(start_s)


class OpenSince:
    """The business time from any time on until ``end_s``; quick for very many of them.

    ``first_s``: the earliest of these times.
    """

    def __init__(self, calendar: Calendar, first_s: int, end_s: int) -> None:
        windows = [*takewhile(lambda window: window[0] < end_s, _windows(calendar, first_s))]
        lengths = [max(0, min(closes_s, end_s) - opens_s) for opens_s, closes_s in windows]
        self._opens = [opens_s for opens_s, _ in windows]
        self._lengths = lengths
        self._from_window_on = [*accumulate(reversed(lengths), initial=0)][::-1]

    def business_s(self, start_s: int) -> int:
        """The seconds of business time from a time on, of ``first_s`` or later."""
        following = bisect_left(self._opens, start_s)
        if following == 0:
            return self._from_window_on[0]
        passed_s = start_s - self._opens[following - 1]
        return self._from_window_on[following] + max(0, self._lengths[following - 1] - passed_s)


def after_business_hours(calendar: Calendar, start_s: int, hours: int) -> int:
    """When this many business hours will have passed; at the latest the end of the year 9998."""
    left_s, closes_s = hours * S_PER_HOUR, start_s
    for opens_s, closes_s in _windows(calendar, start_s):
        open_s = max(0, closes_s - max(opens_s, start_s))
        if open_s >= left_s:
            return max(opens_s, start_s) + left_s
        left_s -= open_s
    return closes_s


def next_cut_off(calendar: Calendar, after_s: int) -> int | None:
    """The first cut-off after a time; at the latest one of the year 9998. None if the calendar has none.

    >>> friday_s = 1_753_477_200  # 2025-07-25T21:00:00Z
    >>> next_cut_off(Calendar("UTC", 480, 1_080, cut_off=1_260), friday_s) - friday_s == 3 * 24 * S_PER_HOUR
    True
    """
    minute = calendar.cut_off
    if minute is msgspec.UNSET:
        return None
    zone = _zone(calendar)
    cut_offs = (_instant_s(day, minute, zone) for day in _business_days(calendar, after_s, zone))
    return next((cut_off_s for cut_off_s in cut_offs if cut_off_s > after_s), _LAST_S)


def cut_offs(calendar: Calendar | None) -> Callable[[int], int | None]:
    """A function from a time to the next cut-off after it, in nanoseconds; quick for many times of one day."""
    if calendar is None or calendar.cut_off is msgspec.UNSET:
        return lambda _: None
    of_minute = lru_cache(maxsize=4_096)(partial(next_cut_off, calendar))

    def after_ns(instant_ns: int) -> int | None:
        cut_off_s = of_minute(instant_ns // _NS_PER_MINUTE * 60)
        return None if cut_off_s is None else cut_off_s * NS_PER_S

    return after_ns


def opened_s(calendar: Calendar, at_s: int) -> int | None:
    """When the calendar last opened, at a time or before it; None if it was closed that day and the day before.

    A day that begins when the one before ends is no opening.
    """
    began_s = ended_s = None
    for opens_s, closes_s in takewhile(lambda window: window[0] <= at_s, _windows(calendar, at_s)):
        if ended_s is None or opens_s > ended_s:
            began_s = opens_s
        ended_s = closes_s
    return began_s


def is_open(calendar: Calendar, at_s: int) -> bool:
    """Whether a time lies within the opening hours."""
    windows = takewhile(lambda window: window[0] <= at_s, _windows(calendar, at_s))
    return any(at_s < closes_s for _, closes_s in windows)


def _windows(calendar: Calendar, start_s: int) -> Iterator[tuple[int, int]]:
    """The opening hours of each business day, from the day before a time on."""
    zone = _zone(calendar)
    for day in _business_days(calendar, start_s, zone):
        yield _instant_s(day, calendar.opens, zone), _instant_s(day, calendar.closes, zone)


def _business_days(calendar: Calendar, start_s: int, zone: ZoneInfo) -> Iterator[date]:
    """The business days from the day before a time on."""
    closed = frozenset(calendar.holidays)
    day = _day_of(start_s, zone) - timedelta(days=1)
    while day < _LAST_DAY:
        if day.isoweekday() in calendar.days and day.isoformat() not in closed:
            yield day
        day += timedelta(days=1)


def _zone(calendar: Calendar) -> ZoneInfo:
    try:
        return ZoneInfo(calendar.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(f"{calendar.zone!r} is no time zone here") from None


def _day_of(instant_s: int, zone: ZoneInfo) -> date:
    instant_s = min(max(instant_s, _FIRST_S), _LAST_S)
    return (_EPOCH + timedelta(seconds=instant_s)).astimezone(zone).date()


def _instant_s(day: date, minute: int, zone: ZoneInfo) -> int:
    """A minute of a day in a zone; 1440 is the midnight after it."""
    days, rest = divmod(minute, MINUTES_PER_DAY)
    at = datetime(day.year, day.month, day.day, rest // 60, rest % 60, tzinfo=zone) + timedelta(days=days)
    return (at.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
