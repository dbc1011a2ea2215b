"""Filters: a query string -> which rows of a list, or a sentence that says which parameter is wrong.

    ?reason=PRICE_MISMATCH&page=2  ->  Asked(BreakFilter(reason=...), page=2)

An empty parameter was not asked for: a form sends all its fields.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Generic, TypeVar

import msgspec

from traderecon.records import Reason, RejectCode, Severity, State
from traderecon.sink.filters import (
    BreakFilter,
    BreakSort,
    DeadLetterFilter,
    DeadLetterState,
    Filter,
    Status,
    TradeFilter,
    TradeSort,
)
from traderecon.web.middleware import BadRequest
from traderecon.web.templates import query

PAGE_ROWS = 50
MAX_PAGE_ROWS = 500
MAX_PAGE = 1_000_000
MAX_TEXT = 512

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

BREAK_STATES = (State.MISMATCHED, State.UNMATCHED)
RESULT_STATES = (State.MATCHED, *BREAK_STATES, State.CANCELLED)

CHOICES: Mapping[type, Mapping[str, Sequence[str]]] = {
    BreakFilter: {
        "status": tuple(Status),
        "reason": tuple(Reason),
        "severity": tuple(Severity),
        "state": BREAK_STATES,
        "sort": tuple(BreakSort),
    },
    TradeFilter: {"state": RESULT_STATES, "reason": tuple(Reason), "sort": tuple(TradeSort)},
    DeadLetterFilter: {"code": tuple(RejectCode), "state": tuple(DeadLetterState)},
}
"""Of each list, the fields that take one of a few values, in the order they are offered."""

AnyFilter = TypeVar("AnyFilter", bound=Filter)


class Asked(msgspec.Struct, Generic[AnyFilter], frozen=True):
    """What a reader of a list asked for; pages count from 1."""

    wanted: AnyFilter
    page: int = 1
    per_page: int = PAGE_ROWS

    def told(self) -> list[tuple[str, str]]:
        """The filter as parameters, without what is the default."""
        kind = type(self.wanted)
        usual = kind()
        return [
            (name, value)
            for name in kind.__struct_fields__
            if (value := str(getattr(self.wanted, name))) != str(getattr(usual, name))
        ]

    def address(self, page: int | None = None, **other: str) -> str:
        """The query string of this list, with other values in it, or of another page."""
        pairs: dict[str, object] = {**dict(self.told()), **other}
        if self.per_page != PAGE_ROWS:
            pairs["per_page"] = self.per_page
        if page is not None and page > 1:
            pairs["page"] = page
        return query(pairs.items())


def asked(kind: type[AnyFilter], parameters: Mapping[str, Sequence[str]]) -> Asked[AnyFilter]:
    """Read a list's parameters; ``BadRequest`` (400) names the one that cannot be used."""
    known = (*kind.__struct_fields__, "page", "per_page")
    choices = CHOICES[kind]
    fields: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name, values in parameters.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f": did you mean {near[0]}?" if near else "."
            raise _bad(f"{_short(name)} is no parameter here{meant} Those that are: {', '.join(known)}.")
        value, *more = values
        if more:
            raise _bad(f"{name} is given {len(values)} times: give it once.")
        value = value.strip()
        if not value:
            continue
        if name in {"page", "per_page"}:
            numbers[name] = _number(name, value, MAX_PAGE if name == "page" else MAX_PAGE_ROWS)
        elif name in choices:
            if value not in choices[name]:
                raise _bad(f"{name} is {_short(value)}: use one of {', '.join(choices[name])}.{_elsewhere(value)}")
            fields[name] = value
        elif name == "date":
            fields[name] = _day(value)
        elif len(value) > MAX_TEXT or _CONTROL.search(value):
            raise _bad(f"{name} is no text to look for: up to {MAX_TEXT} characters, none of them control characters.")
        else:
            fields[name] = value
    return Asked(kind(**fields), **numbers)


def _number(name: str, value: str, most: int) -> int:
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
    if not 1 <= number <= most:
        raise _bad(f"{name} is {_short(value)}: use a whole number from 1 to {most}.")
    return number


def _day(value: str) -> str:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise _bad(f"date is {_short(value)}: use a day such as 2025-07-26.")


def _elsewhere(value: str) -> str:
    return " Trades that wait are listed on /status." if value == State.PENDING else ""


def _short(value: str) -> str:
    return f"“{value if len(value) <= 60 else value[:60] + '…'}”"


def _bad(text: str) -> BadRequest:
    return BadRequest(400, text)
