"""Dates on a command line: a UTC day, and a point in time.

"2025-07-26" -> datetime        "2025-07-26T10:01:23.5+02:00" -> datetime, aware, UTC
"""

import re
from datetime import UTC, datetime
from typing import Any

import click

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Day(click.ParamType):
    """A UTC day, as the datetime of its beginning."""

    name = "YYYY-MM-DD"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows in the place of the value."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The beginning of the day; wrong usage where it is none."""
        # fromisoformat also reads 2025-W30-6 and 20250726.
        if not (_DAY.fullmatch(value) and (day := _read(value))):
            self.fail(f"{value!r} is not a date: write YYYY-MM-DD, for example 2025-07-26", param, ctx)
        return day


class Instant(click.ParamType):
    """A point in time: ISO 8601, with or without a fraction of a second; without an offset it is UTC."""

    name = "YYYY-MM-DDTHH:MM:SSZ"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows in the place of the value."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant in UTC; wrong usage where it is none."""
        if len(value) <= len("YYYY-MM-DD") or not (at := _read(value)):
            self.fail(f"{value!r} is not a date and time: write it like 2025-07-26T10:01:23Z", param, ctx)
        return at


def _read(value: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
