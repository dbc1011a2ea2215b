"""The lists of breaks, trades and dead letters, each as a page, as JSON and as CSV, with the same query string."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from aiohttp import web

from traderecon.clock import now_ns
from traderecon.sink.filters import BreakFilter, DeadLetterFilter, Filter, TradeFilter
from traderecon.sink.queries import Queries
from traderecon.sink.rows import BreakRow, DeadLetterRow, Struct, TradeRow
from traderecon.web import raw
from traderecon.web.ages import ages
from traderecon.web.columns import csv_lines
from traderecon.web.downloads import Chunks, Downloads
from traderecon.web.filters import CHOICES, ListRequest, parse_request
from traderecon.web.templates import page

encode = msgspec.json.Encoder().encode


class Listing(msgspec.Struct, frozen=True):
    """One list: path, title, filter, columns, the columns ``sent_text`` with a sender's own text, and template."""

    path: str
    title: str
    filter: type[Filter]
    columns: tuple[str, ...]
    sent_text: frozenset[str]
    template: str


def _columns(row_type: type[Struct]) -> tuple[str, ...]:
    return row_type.__struct_fields__


BREAKS = Listing(
    "/breaks", "Breaks", BreakFilter, _columns(BreakRow), frozenset({"trade_id", "ticker"}), "breaks.html.j2"
)
TRADES = Listing(
    "/trades", "Trades", TradeFilter, _columns(TradeRow), frozenset({"trade_id", "ticker"}), "trades.html.j2"
)
DEAD_LETTERS = Listing(
    "/dead-letters",
    "Dead letters",
    DeadLetterFilter,
    _columns(DeadLetterRow),
    frozenset({"text", "key", "raw", "trade_id"}),
    "dead-letters.html.j2",
)
LISTINGS = (BREAKS, TRADES, DEAD_LETTERS)


async def html(listing: Listing, queries: Queries, request: web.Request) -> web.StreamResponse:
    """One page of a list, with its filter form."""
    list_request = parse(listing, request)
    rows, total = await asyncio.to_thread(_read, queries, list_request)
    pages = _pages(total, list_request.per_page)
    text = page(
        listing.template,
        listing=listing,
        request=list_request,
        wanted=list_request.wanted,
        choices=CHOICES[listing.filter],
        rows=rows,
        total=total,
        pages=pages,
        shown=raw.to_text,
        age=ages(queries.calendar, now_ns()),
        business_time=queries.calendar is not None,
        here=listing.path,
    )
    return web.Response(text=text, content_type="text/html")


async def json(listing: Listing, queries: Queries, request: web.Request) -> web.StreamResponse:
    """The same page as JSON: the total number of rows, the number of this page, and its rows."""
    list_request = parse(listing, request)
    rows, total = await asyncio.to_thread(_read, queries, list_request)
    body = {
        "count": total,
        "page": list_request.page,
        "pages": _pages(total, list_request.per_page),
        "per_page": list_request.per_page,
        "rows": rows,
    }
    return web.Response(body=encode(body), content_type="application/json")


async def csv(listing: Listing, downloads: Downloads, request: web.Request) -> web.StreamResponse:
    """All rows that match the filter, not only one page, as CSV."""
    list_request = parse(listing, request)
    guarded = tuple(index for index, name in enumerate(listing.columns) if name in listing.sent_text)

    def chunks(queries: Queries) -> Chunks:
        yield csv_lines([listing.columns], guarded=())
        for rows in queries.stream(list_request.wanted):
            yield csv_lines((tuple(_cells(row, listing.columns)) for row in rows), guarded)

    return await downloads.send(request, f"{listing.path.strip('/')}.csv", chunks)


def parse(listing: Listing, request: web.Request) -> ListRequest[Any]:
    """The filter and page in the query string."""
    return parse_request(listing.filter, {name: request.query.getall(name) for name in request.query})


def _read(queries: Queries, list_request: ListRequest[Any]) -> tuple[Sequence[Struct], int]:
    offset = (list_request.page - 1) * list_request.per_page
    rows = queries.rows(list_request.wanted, limit=list_request.per_page, offset=offset)
    return rows, queries.count(list_request.wanted)


def _pages(total: int, per_page: int) -> int:
    return max(1, -(-total // per_page))


def _cells(row: Struct, columns: Sequence[str]) -> Iterator[str]:
    for name in columns:
        value = getattr(row, name)
        special: dict[str, Callable[[Any], str]] = {
            "raw": lambda encoded: raw.to_text(encoded, size=getattr(row, "size", 0)),
            "key": lambda encoded: raw.to_text(encoded, size=0),
        }
        if name in special:
            yield special[name](value)
        elif isinstance(value, tuple):
            yield ";".join(value)
        elif isinstance(value, bool):
            yield "true" if value else "false"
        else:
            yield "" if value is None else str(value)
