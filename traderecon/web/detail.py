"""One trade with all its evidence, as a page, as JSON and as the row of ``reconcile --out``."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from traderecon.records.dead_letter import dead_letter_id
from traderecon.records.partition_status import WaitingTrade
from traderecon.records.result_message import decode_reasons
from traderecon.sink.queries import Queries
from traderecon.sink.rows import DeadLetterRow, Trade
from traderecon.web import columns
from traderecon.web.downloads import short_file
from traderecon.web.evidence import evidence
from traderecon.web.middleware import BadRequest
from traderecon.web.templates import moment, page

encode = msgspec.json.Encoder().encode


async def trade(queries: Queries, request: web.Request) -> web.StreamResponse:
    """The page, or JSON or CSV if the path ends in .json or .csv; a / at the end always means the page.

    Ids may end in .csv: if no trade has the id without the ending but one has it with the ending, its page is served.
    """
    if request.query:
        raise BadRequest(400, f"Unknown parameter {next(iter(request.query))}: the page of a trade takes none.")
    path = request.match_info["trade_id"]
    form = next((form for form in (".json", ".csv", "/") if path.endswith(form)), "")
    trade_id = path.removesuffix(form).strip(" ")
    found = await asyncio.to_thread(_find, queries, trade_id)
    if found is None and form in {".json", ".csv"}:
        whole_id = path.strip(" ")
        found = await asyncio.to_thread(_find, queries, whole_id)
        if found is not None:
            trade_id, form = whole_id, ""
    if not isinstance(found, Trade):
        others = await asyncio.to_thread(queries.trades_with, trade_id) if found is None else []
        raise BadRequest(404, _of_others(trade_id, others) if others else _no_result(trade_id, found), others)
    if form == ".json":
        return web.Response(body=_json(found), content_type="application/json")
    if form == ".csv":
        return short_file("trade.csv", columns.header() + columns.lines([(newest(found), found.row.severity)]))
    text = page(
        "trade.html.j2",
        trade=found,
        row=found.row,
        newest=evidence(newest(found)),
        reasons={row.event_id: decode_reasons(row.result) for row in found.history},
        here="/trades",
    )
    return web.Response(text=text, content_type="text/html")


def newest(trade: Trade) -> str:
    """The JSON of the trade's newest result."""
    key = (trade.row.version, trade.row.event_id)
    return next(row.result for row in trade.history if (row.version, row.event_id) == key)


def _find(queries: Queries, trade_id: str) -> Trade | WaitingTrade | None:
    """The trade; otherwise what it is waiting for, if it is among the longest waiting."""
    found = queries.trade(trade_id)
    if found is not None:
        return found
    all_waiting = (waiting for status in queries.partition_statuses() for waiting in status.oldest)
    return next((waiting for waiting in all_waiting if waiting.trade_id == trade_id), None)


def _of_others(sent_id: str, trade_ids: Sequence[str]) -> str:
    noun = "trade" if len(trade_ids) == 1 else "trades"
    return f"Records with the trade_id {sent_id} belong to the {noun} {', '.join(trade_ids)}."


def _no_result(trade_id: str, waiting: WaitingTrade | None) -> str:
    if waiting is None:
        return (
            f"There is no result for a trade {trade_id}. It may still be waiting for its other side, have another "
            "spelling, or be among the dead letters."
        )
    if waiting.due is None:
        return (
            f"{trade_id} has no result yet: nothing but a pnl snapshot has arrived, or with a match key a record that "
            "names the trade_id alone, which opens no break. It waits for its execution and its confirmation."
        )
    held = f", held because {waiting.held_by} is silent" if waiting.held_by else ""
    return f"{trade_id} has no result yet: waiting for its {waiting.waiting_for} until {moment(waiting.due)} UTC{held}."


def _rejection(row: DeadLetterRow) -> dict[str, Any]:
    """A rejected record without its bytes: the dead letter has them."""
    letter_id = dead_letter_id(row.source_topic, row.source_partition, row.source_offset)
    return {"id": letter_id, "code": row.code, "text": row.text, "received_at": row.received_at, "state": row.state}


def _json(trade: Trade) -> bytes:
    return encode(
        {
            "trade_id": trade.row.trade_id,
            "result": msgspec.Raw(newest(trade).encode()),
            "severity": trade.row.severity,
            "at_stake": trade.row.at_stake,
            "currency": trade.row.currency,
            "notional": trade.row.notional,
            "decided_at": trade.row.decided_at,
            "break": trade.break_row,
            "break_events": trade.events,
            "results": trade.results,
            "rejected": [_rejection(row) for row in trade.rejected],
            "history": [
                {
                    "event_id": row.event_id,
                    "version": row.version,
                    "state": row.state,
                    "reasons": decode_reasons(row.result),
                    "decided_at": row.decided_at,
                    "topic": row.topic,
                    "partition": row.partition,
                    "offset": row.offset,
                    "chain": row.chain,
                }
                for row in trade.history
            ],
        }
    )
