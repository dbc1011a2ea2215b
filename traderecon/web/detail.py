"""Detail: one trade with all its evidence, as a page, as JSON and as the row of ``reconcile --out``."""

import asyncio

import msgspec
from aiohttp import web

from traderecon.records.partition_status import WaitingTrade
from traderecon.records.result_message import decode_head
from traderecon.sink.queries import Queries
from traderecon.sink.rows import Trade
from traderecon.web import columns
from traderecon.web.downloads import short_file
from traderecon.web.evidence import evidence
from traderecon.web.middleware import BadRequest
from traderecon.web.templates import moment, page

encode = msgspec.json.Encoder().encode


async def trade(queries: Queries, request: web.Request) -> web.StreamResponse:
    """The page, or its twin where the path ends in .json or .csv; a / at the end asks for the page, whatever the id.

    Where no trade has the id without the ending, and one has it with it, the page of that one: ids may end in .csv.
    """
    if request.query:
        raise BadRequest(400, f"{next(iter(request.query))} is no parameter here: a trade's page has none.")
    said = request.match_info["trade_id"]
    form = next((form for form in (".json", ".csv", "/") if said.endswith(form)), "")
    trade_id = said.removesuffix(form).strip(" ")
    found = await asyncio.to_thread(_find, queries, trade_id)
    if found is None and form in {".json", ".csv"}:
        whole = said.strip(" ")
        found = await asyncio.to_thread(_find, queries, whole)
        if found is not None:
            trade_id, form = whole, ""
    if not isinstance(found, Trade):
        raise BadRequest(404, _unknown(trade_id, found))
    if form == ".json":
        return web.Response(body=_json(found), content_type="application/json")
    if form == ".csv":
        return short_file("trade.csv", columns.header() + columns.lines([newest(found)]))
    text = page(
        "trade.html.j2",
        trade=found,
        row=found.row,
        newest=evidence(newest(found)),
        reasons={one.event_id: decode_head(one.result).reasons for one in found.history},
        here="/trades",
    )
    return web.Response(text=text, content_type="text/html")


def newest(found: Trade) -> str:
    """The JSON of the result that the row of the trade is of."""
    row = (found.row.version, found.row.event_id)
    return next(one.result for one in found.history if (one.version, one.event_id) == row)


def _find(queries: Queries, trade_id: str) -> Trade | WaitingTrade | None:
    """The trade; else what it waits for, as far as that is known."""
    if not trade_id.isprintable() and any(character < " " for character in trade_id):
        return None  # no id has a control character, and a database may refuse to look for one
    found = queries.trade(trade_id)
    if found is not None:
        return found
    waiting = (waiting for standing in queries.standings() for waiting in standing.oldest)
    return next((one for one in waiting if one.trade_id == trade_id), None)


def _unknown(trade_id: str, waiting: WaitingTrade | None) -> str:
    if waiting is None:
        return (
            f"No result is known of a trade {trade_id}. It may still wait for its other side, be written otherwise, "
            "or lie among the dead letters."
        )
    return f"{trade_id} has no result yet: it waits for its {waiting.waiting_for} until {moment(waiting.due)} UTC."


def _json(found: Trade) -> bytes:
    return encode(
        {
            "trade_id": found.row.trade_id,
            "result": msgspec.Raw(newest(found).encode()),
            "severity": found.row.severity,
            "notional": found.row.notional,
            "decided_at": found.row.decided_at,
            "break": found.broken,
            "break_events": found.events,
            "results": found.results,
            "history": [
                {
                    "event_id": one.event_id,
                    "version": one.version,
                    "state": one.state,
                    "reasons": decode_head(one.result).reasons,
                    "decided_at": one.decided_at,
                    "topic": one.topic,
                    "partition": one.partition,
                    "offset": one.offset,
                    "chain": one.chain,
                }
                for one in found.history
            ],
        }
    )
