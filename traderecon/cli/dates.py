"""Dates on a command line: a UTC day, or a point in time.

"2025-07-26" -> datetime        "2025-07-26T10:01:23.5+02:00" -> datetime, aware, UTC
"""

import re
from datetime import UTC, datetime
from typing import Any

import click

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Day(click.ParamType):
    """A UTC day, as the datetime of its start."""

    name = "YYYY-MM-DD"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The placeholder in the help text."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The start of the day; a usage error if it is not a date."""
        # fromisoformat also reads 2025-W30-6 and 20250726.
        if not (_DAY.fullmatch(value) and (day := _parse(value))):
            self.fail(f"{value!r} is not a date: write YYYY-MM-DD, for example 2025-07-26", param, ctx)
        return day


class Instant(click.ParamType):
    """A point in time in ISO 8601, with or without fractional seconds; UTC if it has no offset."""

    name = "YYYY-MM-DDTHH:MM:SSZ"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The placeholder in the help text."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant in UTC; a usage error if it is not a date and time."""
        if len(value) <= len("YYYY-MM-DD") or not (instant := _parse(value)):
            self.fail(f"{value!r} is not a date and time: write it like 2025-07-26T10:01:23Z", param, ctx)
        return instant


def _parse(value: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
