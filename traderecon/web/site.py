"""Site: what is served under which path, and the one place where paths are put up.

Every path answers with and without a slash at its end. Without pages only health and metrics are there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from traderecon.clock import now_ns
from traderecon.records.instants import NS_PER_S, iso
from traderecon.sink.filters import BreakFilter, BreakSort
from traderecon.sink.queries import UNREADABLE, Queries
from traderecon.telemetry import Metrics
from traderecon.transport.app import StreamApp
from traderecon.web import columns, detail, listings
from traderecon.web.downloads import Chunks, Downloads, short_file
from traderecon.web.exposition import BreakCollector, exposition
from traderecon.web.middleware import LOOPBACK, OURS, BadRequest, safe_headers
from traderecon.web.server import Runner
from traderecon.web.siblings import UNWELL, Siblings
from traderecon.web.templates import icon, page, style

OLDEST_BREAKS = 10
REFRESH_S = 5

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Health = Callable[[], Mapping[str, Mapping[str, bool]]]
Incidents = Callable[[], list[str]]
"""The sentences of the incidents that are open in this process."""

encode = msgspec.json.Encoder().encode


def attach(
    app: StreamApp,
    queries: Queries | None,
    metrics: Metrics,
    *,
    pages: bool,
    health: Health,
    incidents: Incidents = list,
    siblings: Siblings,
    broker: str = "",
) -> None:
    """Put up health and metrics, and the pages where ``pages`` says so: then ``queries`` must be there.

    ``health`` says of each role of the process what is well (``{"matching": {"recovered": True}}``), ``siblings``
    knows the other processes of this worker, ``broker`` is how the overview calls the log. The app needs
    ``middlewares()`` in its ``web_application_options``.
    """
    routes: dict[str, Answer] = {
        "/metrics": partial(_metrics, metrics, siblings),
        "/healthz/live": partial(_live, health, incidents, siblings),
        "/healthz/ready": partial(_ready, health, siblings, queries if pages else None),
    }
    if pages:
        if queries is None:
            raise ValueError("pages read the database: give them its queries")
        metrics.registry.register(BreakCollector(queries))
        routes |= _pages(queries, broker)
        routes["/status"] = partial(_status, queries, broker, incidents, siblings)
    driver: Any = app.web
    server = driver.web_app  # aiohttp's, below Faust's driver
    driver._runner = Runner(server)
    server[LOOPBACK] = str(app.conf.web_bind) in {"localhost", "::1"} or str(app.conf.web_bind).startswith("127.")
    server.on_response_prepare.append(safe_headers)
    for path, answer in routes.items():
        _serve(app, path, answer)
        if not path.endswith(("/", "}")):
            _serve(app, f"{path}/", answer)
    # Faust adds its own when it starts, and they stay shut.
    server[OURS] = frozenset(resource.canonical for resource in server.router.resources())


def _serve(app: StreamApp, path: str, answer: Answer) -> None:
    async def get(_view: Any, request: Any, **_match: str) -> Any:
        return await answer(request)

    app.page(path, name=path)(get)


def _pages(queries: Queries, broker: str) -> dict[str, Answer]:
    downloads = Downloads(queries)
    routes: dict[str, Answer] = {
        "/": partial(_overview, queries, broker),
        "/status.json": partial(_status_json, queries),
        "/status.csv": partial(_status_csv, queries),
        "/api/reconciliation_status": partial(_reconciliation_status, queries),
        "/download/csv": partial(_download_csv, downloads),
        "/style.css": _style,
        "/icon.svg": _icon,
    }
    for listing in listings.LISTINGS:
        routes[listing.path] = partial(listings.html, listing, queries)
        routes[f"{listing.path}.json"] = partial(listings.json, listing, queries)
        routes[f"{listing.path}.csv"] = partial(listings.csv, listing, downloads)
    routes["/trades/{trade_id:.+}"] = partial(detail.trade, queries)
    return routes


async def _overview(queries: Queries, broker: str, request: web.Request) -> web.StreamResponse:
    refresh = request.query.get("refresh", "on")
    if set(request.query) - {"refresh"} or refresh not in {"on", "off"}:
        raise BadRequest(400, "The overview takes refresh=off and nothing else.")

    def read() -> dict[str, Any]:
        return {
            "states": queries.states(),
            "open": queries.open_breaks(),
            "oldest": queries.rows(BreakFilter(sort=BreakSort.OLDEST), limit=OLDEST_BREAKS),
            "dead_letters": queries.dead_letter_codes(),
            "standings_rows": queries.standings(),
            "last_result_at": queries.last_result_at(),
        }

    known = await asyncio.to_thread(read)
    seconds = REFRESH_S if refresh == "on" else 0
    text = page("overview.html.j2", **known, broker=broker, now=_now(), refresh_s=seconds, here="/")
    return web.Response(text=text, content_type="text/html")


async def _status(
    queries: Queries, broker: str, incidents: Incidents, siblings: Siblings, request: web.Request
) -> web.StreamResponse:
    known = await asyncio.to_thread(_standing, queries, request)
    rows = known.pop("standings")
    known["incidents"] = sorted([*incidents(), *await siblings.incidents()])
    text = page("status.html.j2", **known, standings_rows=rows, broker=broker, now=_now(), here="/status")
    return web.Response(text=text, content_type="text/html")


async def _status_json(queries: Queries, request: web.Request) -> web.StreamResponse:
    known = await asyncio.to_thread(_standing, queries, request)
    return web.Response(body=encode(known), content_type="application/json")


async def _status_csv(queries: Queries, request: web.Request) -> web.StreamResponse:
    """One line per partition of the journal."""
    known = await asyncio.to_thread(_standing, queries, request)
    waits = ("confirmation", "execution", "pnl")
    rows: list[tuple[str, ...]] = [("partition", "watermark", *(f"pending_{name}" for name in waits), "at")]
    for one in known["standings"]:
        counts = (str(one.pending.get(name, 0)) for name in waits)
        rows.append((str(one.partition), one.watermark or "", *counts, one.at))
    return short_file("status.csv", columns.csv_lines(rows, guarded=()))


def _standing(queries: Queries, request: web.Request) -> dict[str, Any]:
    if request.query:
        raise BadRequest(400, f"{next(iter(request.query))} is no parameter here: the status has none.")
    ledger, begun = queries.ledger(), queries.beginnings()
    unaccounted = sum(one.unaccounted for one in ledger)
    return {
        "database": queries.engine.url.render_as_string(hide_password=True),
        "last_result_at": queries.last_result_at(),
        "standings": queries.standings(),
        "offsets": queries.offsets(),
        "ledger": ledger,
        "accounted": sum(one.next_offset - one.start for one in ledger) - unaccounted,
        "skipped": sum(one.skipped for one in ledger),
        "unaccounted": unaccounted,
        "beginnings": begun,
        "complete_from": max((one.complete_from for one in begun), default=None),
    }


async def _reconciliation_status(queries: Queries, _request: web.Request) -> web.StreamResponse:
    """A count for each of the five states, from the founding system. Source: CONTRACT.md, Web."""
    return web.Response(body=encode(await asyncio.to_thread(queries.states)), content_type="application/json")


async def _download_csv(downloads: Downloads, request: web.Request) -> web.StreamResponse:
    """Every trade in the columns of ``reconcile --out``."""

    def chunks(queries: Queries) -> Chunks:
        yield columns.header()
        yield from map(columns.lines, queries.newest_results())

    return await downloads.send(request, "reconciliation.csv", chunks)


async def _style(_request: web.Request) -> web.StreamResponse:
    return web.Response(text=style(), content_type="text/css", headers={"Cache-Control": "max-age=86400"})


async def _icon(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=icon(), content_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


async def _metrics(metrics: Metrics, siblings: Siblings, request: web.Request) -> web.StreamResponse:
    """Of all processes of the worker; 503 while one does not answer, so that whoever scrapes it sees it down."""
    told = await siblings.metrics()
    if told is None:
        return web.Response(text="a process of this worker does not answer: /healthz/live has its role\n", status=503)
    accepted = request.headers.get("Accept", "")
    body, content_type = await asyncio.to_thread(exposition, metrics.registry, told, accepted)
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _live(health: Health, incidents: Incidents, siblings: Siblings, _request: web.Request) -> web.StreamResponse:
    """Every process answers: 200, enough for whoever would restart the worker; else 503.

    ``incidents`` are those of this process; a restart mends none of them.
    """
    others = await siblings.health()
    live = UNWELL not in others.values()
    answer = {"live": live, "roles": {**health(), **others}, "incidents": incidents()}
    return web.json_response(answer, status=200 if live else 503)


async def _ready(
    health: Health, siblings: Siblings, queries: Queries | None, _request: web.Request
) -> web.StreamResponse:
    """Every role is well, and the pages' database answers: 200, else 503."""
    roles: dict[str, Mapping[str, bool]] = {**health(), **await siblings.health()}
    if queries is not None:
        roles["database"] = {"reachable": await asyncio.to_thread(_reaches, queries)}
    ready = all(all(signs.values()) for signs in roles.values())
    return web.json_response({"ready": ready, "roles": roles}, status=200 if ready else 503)


def _reaches(queries: Queries) -> bool:
    try:
        queries.reach()
    except UNREADABLE:
        return False
    return True


def _now() -> str:
    return iso(now_ns() // NS_PER_S * NS_PER_S)
