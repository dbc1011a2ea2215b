"""The calendar of a rules file: opening hours, and the holidays of a market or of the file.

    [calendar]
    zone = "America/New_York"
    opens = "08:00"
    closes = "18:00"
    days = ["mon", "tue", "wed", "thu", "fri"]
    cut_off = "21:00"                       # by when the trades of a business day are to be reconciled
    market = "XNYS"                         # its holidays, by MIC
    holidays = [2025-12-24]                 # beside them

The holidays of a market are read once, for ``YEARS``, and are part of the rules from then on: an update of the library
that changes one is a change of rules, on record. Source of the holidays: the library ``holidays``.
"""

import re
from collections.abc import Iterator
from datetime import date

import msgspec

from traderecon.records.business_time import SHORTEST_MINUTES, Calendar
from traderecon.records.words import Word
from traderecon.rules.zones import zone_problem

YEARS = range(2015, 2046)
"""The years of a market's holidays; before and after them it has none."""
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00")


class Day(Word):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_ISO = {day: number for number, day in enumerate(Day, 1)}
_WORKDAYS = (Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI)


class CalendarTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opening hours: of the desk, in which breaks age, or of a source, its schedule."""

    zone: str
    opens: str
    closes: str
    days: tuple[Day, ...] = _WORKDAYS
    market: str | None = None
    holidays: tuple[date, ...] = ()
    cut_off: str | None = None


def problems_of(table: CalendarTable) -> Iterator[tuple[str, str]]:
    """The names whose value is wrong, and what to write."""
    if (problem := zone_problem(table.zone)) is not None:
        yield "zone", problem
    times = ("opens", "closes", *(() if table.cut_off is None else ("cut_off",)))
    wrong = [name for name in times if not _TIME.fullmatch(getattr(table, name))]
    for name in wrong:
        yield name, f'is {getattr(table, name)!r}: write a time as in "08:00", at most "24:00"'
    if not {"opens", "closes"} & {*wrong} and _minutes(table.closes) - _minutes(table.opens) < SHORTEST_MINUTES:
        yield "closes", f"is {table.closes!r}: write a time of the same day, an hour after {table.opens} or later"
    if not table.days:
        yield "days", "is empty: write at least one day, as in mon"
    if table.market is not None and table.market not in (known := _markets()):
        yield "market", f"is {table.market!r}: write the MIC of a market, one of {', '.join(known)}"


def calendar_of(table: CalendarTable) -> Calendar:
    """The calendar of a table without problems."""
    closed = {day.isoformat() for day in table.holidays}
    if table.market is not None:
        # Slow to import, and rarely needed.
        from holidays import financial_holidays

        closed |= {day.isoformat() for day in financial_holidays(table.market, years=YEARS)}
    days = tuple(sorted({_ISO[day] for day in table.days}))
    cut_off = msgspec.UNSET if table.cut_off is None else _minutes(table.cut_off)
    return Calendar(table.zone, _minutes(table.opens), _minutes(table.closes), days, tuple(sorted(closed)), cut_off)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _markets() -> list[str]:
    """The markets whose holidays are known, by MIC."""
    from holidays import list_supported_financial

    return sorted(code for code in list_supported_financial() if len(code) == 4)
