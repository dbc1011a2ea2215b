"""The routes of the site.

Every path works with and without a trailing slash. Without pages, only health and metrics are served.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from traderecon.clock import now_ns
from traderecon.records.instants import NS_PER_S, iso
from traderecon.records.numbers import EXACT, ZERO, plain
from traderecon.records.registry import registry_json
from traderecon.sink.filters import BreakFilter
from traderecon.sink.queries import UNREADABLE, Queries
from traderecon.telemetry import Metrics
from traderecon.transport.app import StreamApp
from traderecon.web import columns, detail, listings
from traderecon.web.downloads import Chunks, Downloads, short_file
from traderecon.web.exposition import BreakCollector, exposition
from traderecon.web.middleware import LOOPBACK, ROUTES, BadRequest, safe_headers
from traderecon.web.server import Runner
from traderecon.web.siblings import NO_ANSWER, Siblings
from traderecon.web.templates import icon, page, style

URGENT_BREAKS = 10
REFRESH_S = 5
MOST = 2**63 - 1
"""The largest number of JSON."""

RouteHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Health = Callable[[], Mapping[str, Mapping[str, bool]]]
Incidents = Callable[[], list[str]]
"""The open incidents of this process, as sentences."""

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
    """Add the routes of health and metrics, and with ``pages`` those of the pages, which need ``queries``.

    ``health`` returns the health signs of each role of this process (``{"matching": {"recovered": True}}``),
    ``siblings`` are the other processes of the worker, ``broker`` is the name of the log on the overview. The app needs
    ``middlewares()`` in its ``web_application_options``.
    """
    routes: dict[str, RouteHandler] = {
        "/metrics": partial(_metrics, metrics, siblings),
        "/healthz/live": partial(_live, health, incidents, siblings),
        "/healthz/ready": partial(_ready, health, siblings, queries if pages else None),
    }
    if pages:
        if queries is None:
            raise ValueError("pages=True needs queries")
        metrics.registry.register(BreakCollector(queries))
        routes |= _pages(queries, broker)
        routes["/status"] = partial(_status, queries, broker, incidents, siblings)
    driver: Any = app.web
    server = driver.web_app  # aiohttp's, below Faust's driver
    driver._runner = Runner(server)
    server[LOOPBACK] = str(app.conf.web_bind) in {"localhost", "::1"} or str(app.conf.web_bind).startswith("127.")
    server.on_response_prepare.append(safe_headers)
    for path, handler in routes.items():
        _add_route(app, path, handler)
        if not path.endswith(("/", "}")):
            _add_route(app, f"{path}/", handler)
    # Faust adds routes of its own when it starts: those are not served.
    server[ROUTES] = frozenset(resource.canonical for resource in server.router.resources())


def _add_route(app: StreamApp, path: str, handler: RouteHandler) -> None:
    async def get(_view: Any, request: Any, **_match: str) -> Any:
        return await handler(request)

    app.page(path, name=path)(get)


def _pages(queries: Queries, broker: str) -> dict[str, RouteHandler]:
    downloads = Downloads(queries)
    routes: dict[str, RouteHandler] = {
        "/": partial(_overview, queries, broker),
        "/status.json": partial(_status_json, queries),
        "/status.csv": partial(_status_csv, queries),
        "/api/reconciliation_status": partial(_reconciliation_status, queries),
        "/api/v1/reasons": _reasons,
        "/download/csv": partial(_download_csv, downloads),
        "/style.css": _style,
        "/icon.svg": _icon,
    }
    for listing in listings.LISTINGS:
        routes[listing.path] = partial(listings.html, listing, queries)
        routes[f"{listing.path}.json"] = partial(listings.json, listing, queries)
        routes[f"{listing.path}.csv"] = partial(listings.csv, listing, downloads)
    routes["/trades/{trade_id:(?s:.+)}"] = partial(detail.trade, queries)
    return routes


def _per_currency(stakes: Mapping[tuple[str, str], Decimal]) -> dict[str, str]:
    """The money at stake per currency, over all severities, as text."""
    totals: dict[str, Decimal] = {}
    for (currency, _), stake in stakes.items():
        totals[currency] = EXACT.add(totals.get(currency, ZERO), stake)
    return {currency: plain(total) for currency, total in totals.items()}


async def _overview(queries: Queries, broker: str, request: web.Request) -> web.StreamResponse:
    refresh = request.query.get("refresh", "on")
    if set(request.query) - {"refresh"} or refresh not in {"on", "off"}:
        raise BadRequest(400, "The only parameter of the overview is refresh=off.")

    def read() -> dict[str, Any]:
        return {
            "states": queries.states(),
            "open": queries.open_breaks(),
            "worst": queries.rows(BreakFilter(), limit=URGENT_BREAKS),
            "stakes": _per_currency(queries.stakes()),
            "dead_letters": queries.dead_letter_codes(),
            "partition_statuses": queries.partition_statuses(),
            "last_result_at": queries.last_result_at(),
        }

    values = await asyncio.to_thread(read)
    seconds = REFRESH_S if refresh == "on" else 0
    text = page("overview.html.j2", **values, broker=broker, now=_now(), refresh_s=seconds, here="/")
    return web.Response(text=text, content_type="text/html")


async def _status(
    queries: Queries, broker: str, incidents: Incidents, siblings: Siblings, request: web.Request
) -> web.StreamResponse:
    values = await asyncio.to_thread(_read_status, queries, request)
    statuses = values.pop("standings")
    values["incidents"] = sorted([*incidents(), *await siblings.incidents()])
    text = page("status.html.j2", **values, partition_statuses=statuses, broker=broker, now=_now(), here="/status")
    return web.Response(text=text, content_type="text/html")


async def _status_json(queries: Queries, request: web.Request) -> web.StreamResponse:
    values = await asyncio.to_thread(_read_status, queries, request)
    return web.Response(body=encode(values), content_type="application/json")


async def _status_csv(queries: Queries, request: web.Request) -> web.StreamResponse:
    """One line per partition of the journal."""
    values = await asyncio.to_thread(_read_status, queries, request)
    sides = ("confirmation", "execution", "pnl")
    rows: list[tuple[str, ...]] = [("partition", "watermark", *(f"pending_{side}" for side in sides), "orphans", "at")]
    for status in values["standings"]:
        counts = (str(status.pending.get(side, 0)) for side in sides)
        rows.append((str(status.partition), status.watermark or "", *counts, str(status.orphans), status.at))
    return short_file("status.csv", columns.csv_lines(rows, guarded=()))


def _read_status(queries: Queries, request: web.Request) -> dict[str, Any]:
    if request.query:
        raise BadRequest(400, f"Unknown parameter {next(iter(request.query))}: the status page takes none.")
    ledger, beginnings = queries.ledger(), queries.beginnings()
    unaccounted = sum(row.unaccounted for row in ledger)
    return {
        "database": queries.engine.url.render_as_string(hide_password=True),
        "last_result_at": queries.last_result_at(),
        "standings": queries.partition_statuses(),
        "offsets": queries.offsets(),
        "ledger": ledger,
        "accounted": _capped(sum(row.next_offset - row.start for row in ledger) - unaccounted),
        "skipped": _capped(sum(row.skipped for row in ledger)),
        "unaccounted": _capped(unaccounted),
        "beginnings": beginnings,
        "complete_from": max((row.complete_from for row in beginnings), default=None),
    }


def _capped(number: int) -> int:
    """JSON has 64 bits; only foreign accounts that an earlier version added up get there."""
    return min(number, MOST)


async def _reconciliation_status(queries: Queries, _request: web.Request) -> web.StreamResponse:
    """The number of trades in each of the five states. Source: CONTRACT.md, Web."""
    return web.Response(body=encode(await asyncio.to_thread(queries.states)), content_type="application/json")


async def _reasons(request: web.Request) -> web.StreamResponse:
    """Every reason, hint and reject code. Source: records.registry."""
    if request.query:
        raise BadRequest(400, f"Unknown parameter {next(iter(request.query))}: the registry of codes takes none.")
    return web.Response(body=registry_json(), content_type="application/json")


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
    """The metrics of all processes of the worker; 503 while one does not answer, so that Prometheus sees it as down."""
    exposed = await siblings.metrics()
    if exposed is None:
        return web.Response(
            text="a process of this worker does not answer: see its role at /healthz/live\n", status=503
        )
    accepted = request.headers.get("Accept", "")
    body, content_type = await asyncio.to_thread(exposition, metrics.registry, exposed, accepted)
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _live(health: Health, incidents: Incidents, siblings: Siblings, _request: web.Request) -> web.StreamResponse:
    """200 if every process answers, else 503: the signal for restarting the worker.

    ``incidents`` are those of this process; a restart resolves none of them.
    """
    siblings_health = await siblings.health()
    live = NO_ANSWER not in siblings_health.values()
    body = {"live": live, "roles": {**health(), **siblings_health}, "incidents": incidents()}
    return web.json_response(body, status=200 if live else 503)


async def _ready(
    health: Health, siblings: Siblings, queries: Queries | None, _request: web.Request
) -> web.StreamResponse:
    """200 if every role is healthy and the database of the pages answers, else 503."""
    roles: dict[str, Mapping[str, bool]] = {**health(), **await siblings.health()}
    if queries is not None:
        roles["database"] = {"reachable": await asyncio.to_thread(_is_reachable, queries)}
    ready = all(all(signs.values()) for signs in roles.values())
    return web.json_response({"ready": ready, "roles": roles}, status=200 if ready else 503)


def _is_reachable(queries: Queries) -> bool:
    try:
        queries.ping()
    except UNREADABLE:
        return False
    return True


def _now() -> str:
    return iso(now_ns() // NS_PER_S * NS_PER_S)
