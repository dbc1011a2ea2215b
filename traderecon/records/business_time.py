"""Business time: the hours in which somebody is at the desk, by zone, days of the week and holidays.

    Friday 20:00 to Monday 09:30, desk open 08:00 to 18:00   ->   1.5 business hours

All times are seconds since 1970, UTC. A day without the hour in which the desk opens (a change of the clocks) opens as
``zoneinfo`` reads it. Source: DOMAIN.md F34.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from traderecon.records.instants import NS_PER_S

S_PER_MINUTE, S_PER_HOUR, S_PER_DAY = 60, 3_600, 86_400
MINUTES_PER_DAY = 1_440
MOST_HOLIDAYS = 400
"""Days of holidays that a break takes along: more than a year from its first leg on."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = date(9998, 12, 31)


class Calendar(msgspec.Struct, frozen=True):
    """When the desk is open: from ``opens`` to ``closes`` (minutes since midnight in ``zone``).

    ``days``: of the week, Monday is 1. ``holidays``: ISO 8601 dates, sorted; closed all day.
    """

    zone: str
    opens: int
    closes: int
    days: tuple[int, ...] = (1, 2, 3, 4, 5)
    holidays: tuple[str, ...] = ()

    def from_time(self, instant_ns: int) -> "Calendar":
        """The calendar with the holidays of the days from a time on, a little more than a year of them."""
        first = _day_of(instant_ns // NS_PER_S, ZoneInfo(self.zone)) - timedelta(days=1)
        last = min(first, _LAST_DAY - timedelta(days=MOST_HOLIDAYS)) + timedelta(days=MOST_HOLIDAYS)
        kept = tuple([day for day in self.holidays if first.isoformat() <= day <= last.isoformat()])
        return msgspec.structs.replace(self, holidays=kept)


def business_s(calendar: Calendar, start_s: int, end_s: int) -> int:
    """How many seconds of business time lie between two times; 0 if the second is not later."""
    total = 0
    for opens_s, closes_s in _windows(calendar, start_s):
        if opens_s >= end_s:
            break
        total += max(0, min(closes_s, end_s) - max(opens_s, start_s))
    return total


def after_business_hours(calendar: Calendar, start_s: int, hours: int) -> int:
    """When this many business hours will have passed; at the latest the end of the year 9998."""
    left_s, closes_s = hours * S_PER_HOUR, start_s
    for opens_s, closes_s in _windows(calendar, start_s):
        open_s = max(0, closes_s - max(opens_s, start_s))
        if open_s >= left_s:
            return max(opens_s, start_s) + left_s
        left_s -= open_s
    return closes_s


def _windows(calendar: Calendar, start_s: int) -> Iterator[tuple[int, int]]:
    """The opening hours of each business day, from the day before a time on."""
    zone, closed = ZoneInfo(calendar.zone), frozenset(calendar.holidays)
    day = _day_of(start_s, zone) - timedelta(days=1)
    while day < _LAST_DAY:
        if day.isoweekday() in calendar.days and day.isoformat() not in closed:
            yield _instant_s(day, calendar.opens, zone), _instant_s(day, calendar.closes, zone)
        day += timedelta(days=1)


def _day_of(instant_s: int, zone: ZoneInfo) -> date:
    day = (_EPOCH + timedelta(seconds=instant_s)).astimezone(zone).date()
    return min(max(day, date(2, 1, 1)), _LAST_DAY)


def _instant_s(day: date, minute: int, zone: ZoneInfo) -> int:
    """A minute of a day in a zone; 1440 is the midnight after it."""
    days, rest = divmod(minute, MINUTES_PER_DAY)
    at = datetime(day.year, day.month, day.day, rest // 60, rest % 60, tzinfo=zone) + timedelta(days=days)
    return (at.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
