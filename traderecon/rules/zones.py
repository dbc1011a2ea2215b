"""Zones: which names of time zones a file may have."""

from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Names in a system's zone database that mean something else on another machine, or nothing."""


def zone_problem(zone: str) -> str | None:
    """What is wrong with the name of a zone, to follow the name of the setting; None if it is one.

    >>> zone_problem("America/New_York"), zone_problem("localtime")
    (None, "is 'localtime': write a name of the IANA database, as in America/New_York")
    """
    try:
        if zone in _NOT_ZONES:
            raise ZoneInfoNotFoundError
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = get_close_matches(zone, available_timezones() - _NOT_ZONES, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"is {zone!r}{hint}: write a name of the IANA database, as in America/New_York"
    return None
