"""Ages: how long a break has been open, in the time in which somebody is at the desk.

opened Friday 20:00, looked at on Sunday, desk open 08:00 to 18:00   ->   0 h
"""

from collections.abc import Callable

from traderecon.records.business_time import S_PER_HOUR, Calendar, OpenSince
from traderecon.records.instants import NS_PER_S
from traderecon.records.leg_message import instant
from traderecon.sink.rows import BreakRow


def age_text(opened_at: str, until_s: int, calendar: Calendar | None = None) -> str:
    """The age of a break in whole hours, business hours if there is a calendar; empty if ``opened_at`` is no time.

    >>> age_text("2025-07-25T20:00:00Z", 1_753_650_000)  # Sunday 21:00
    '49 h'
    >>> age_text("2025-07-25T20:00:00Z", 1_753_650_000, Calendar("UTC", 480, 1_080))
    '0 h'
    """
    try:
        opened_s = instant(opened_at) // NS_PER_S
    except ValueError:
        return ""
    return f"{age_reader(calendar, opened_s, until_s)(opened_s) // S_PER_HOUR:,} h"


def age_reader(calendar: Calendar | None, first_s: int, until_s: int) -> Callable[[int], int]:
    """The age in seconds at ``until_s`` of a break by when it was opened: at ``first_s`` or later."""
    if calendar is None:
        return lambda opened_s: max(0, until_s - opened_s)
    return OpenSince(calendar, first_s, until_s).business_s


def ages(calendar: Calendar | None, now_ns: int) -> Callable[[BreakRow], str]:
    """How long each break is, or was, open."""

    def age(row: BreakRow) -> str:
        try:
            until_s = (instant(row.resolved_at) if row.resolved_at else now_ns) // NS_PER_S
        except ValueError:
            return ""
        return age_text(row.opened_at, until_s, calendar)

    return age
