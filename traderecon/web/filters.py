"""Parse the query string of a list into a filter and a page, or into an error that names the wrong parameter.

    ?reason=PRICE_MISMATCH&page=2  ->  ListRequest(BreakFilter(reason=...), page=2)

Empty parameters are ignored: a form sends all its fields.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Generic, TypeVar

import msgspec

from traderecon.records import RejectCode, Severity, State
from traderecon.records.codes import GIVEN
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
        "reason": GIVEN,
        "severity": tuple(Severity),
        "state": BREAK_STATES,
        "sort": tuple(BreakSort),
    },
    TradeFilter: {"state": RESULT_STATES, "reason": GIVEN, "sort": tuple(TradeSort)},
    DeadLetterFilter: {"code": tuple(RejectCode), "state": tuple(DeadLetterState)},
}
"""The fields of each list that take one of a few values, in display order."""

AnyFilter = TypeVar("AnyFilter", bound=Filter)


class ListRequest(msgspec.Struct, Generic[AnyFilter], frozen=True):
    """A filter and a page of a list; pages count from 1."""

    wanted: AnyFilter
    page: int = 1
    per_page: int = PAGE_ROWS

    def to_params(self) -> list[tuple[str, str]]:
        """The filter as parameters, without default values."""
        filter_type = type(self.wanted)
        defaults = filter_type()
        return [
            (name, value)
            for name in filter_type.__struct_fields__
            if (value := str(getattr(self.wanted, name))) != str(getattr(defaults, name))
        ]

    def query_string(self, page: int | None = None) -> str:
        """The query string of the list with this filter; ``page``: of that page."""
        pairs: dict[str, object] = dict(self.to_params())
        if self.per_page != PAGE_ROWS:
            pairs["per_page"] = self.per_page
        if page is not None and page > 1:
            pairs["page"] = page
        return query(pairs.items())


def parse_request(filter_type: type[AnyFilter], parameters: Mapping[str, Sequence[str]]) -> ListRequest[AnyFilter]:
    """Parse the parameters of a list; ``BadRequest`` (400) names the one that cannot be used."""
    names = (*filter_type.__struct_fields__, "page", "per_page")
    choices = CHOICES[filter_type]
    fields: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name, values in parameters.items():
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f": did you mean {near[0]}?" if near else "."
            raise _bad(f"Unknown parameter {_short(name)}{hint} This page takes {', '.join(names)}.")
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
                raise _bad(f"{name} is {_short(value)}: use one of {', '.join(choices[name])}.{_pending_hint(value)}")
            fields[name] = value
        elif name == "date":
            fields[name] = _day(value)
        elif len(value) > MAX_TEXT or _CONTROL.search(value):
            raise _bad(f"{name} cannot be searched for: use up to {MAX_TEXT} characters, and no control characters.")
        else:
            fields[name] = value
    return ListRequest(filter_type(**fields), **numbers)


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


def _pending_hint(value: str) -> str:
    return " Pending trades are listed on /status." if value.upper() == State.PENDING else ""


def _short(value: str) -> str:
    return f"“{value if len(value) <= 60 else value[:60] + '…'}”"


def _bad(text: str) -> BadRequest:
    return BadRequest(400, text)
