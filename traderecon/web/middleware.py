"""Middleware: which requests are served, and what an error looks like.

Only the routes of ``attach`` are served; Faust's own pages give 404. On loopback, only requests for localhost are
answered, so that no other web site can make a browser read these pages (DNS rebinding).
"""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from traderecon.sink.queries import UNREADABLE
from traderecon.web.templates import page, visible

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROUTES: web.AppKey[Collection[str]] = web.AppKey("routes", Collection[str])
"""The routes to serve, as registered by ``attach``."""
LOOPBACK: web.AppKey[bool] = web.AppKey("loopback", bool)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "TradeRecon",
}

RETRY_AFTER_S = {429: 30, 503: 5}
"""The Retry-After header, by status."""

_LOCALHOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_HEALTH = {"/healthz", "/health", "/live", "/ready"}
_TITLES = {
    400: "Invalid request",
    404: "Not found",
    405: "Method not allowed",
    421: "Wrong host name",
    429: "Too many downloads",
    500: "Internal error",
    503: "The database cannot be read",
}

log = logging.getLogger(__name__)


class BadRequest(Exception):
    """A request that cannot be answered: the status, and a message for the user; ``trades``: where to look instead."""

    def __init__(self, status: int, text: str, trades: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.trades = trades


def middlewares() -> list[Any]:
    """The middlewares that ``attach`` needs in an app's ``web_application_options``, outermost first."""
    return [readable_errors, only_attached_routes]


@web.middleware
async def readable_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a page, or in JSON or text if the request asked for that."""
    try:
        return await handler(request)
    except BadRequest as error:
        return error_response(request, error.status, error.text, trades=error.trades)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = _not_found(request.path) if error.status == 404 else f"{error.reason}."
        return error_response(request, error.status, text, allowed=error.headers.get("Allow"))
    except UNREADABLE as error:
        log.error("%s %r: the database cannot be read: %s", request.method, request.path, error)
        text = "The database did not answer. See the log for the reason, or run `traderecon doctor`."
        return error_response(request, 503, text)
    except Exception:
        number = secrets.token_hex(4)
        log.exception("error %s: %s %r failed", number, request.method, request.path_qs)
        return error_response(request, 500, f"Error {number}: see the line with this number in the log.")


def _not_found(path: str) -> str:
    if path.rstrip("/") in _HEALTH or path.startswith("/healthz/"):
        return f"There is no page {path}: health is at /healthz/live and /healthz/ready."
    return f"There is no page {path}."


@web.middleware
async def only_attached_routes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reject routes that ``attach`` did not add, and host names of other machines."""
    host = request.headers.get("Host")
    if request.app.get(LOOPBACK, True) and host is not None and not _LOCALHOST.fullmatch(host):
        raise BadRequest(421, f"Open this server as localhost or 127.0.0.1, not as {host[:255]}.")
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical not in request.app.get(ROUTES, ()):
        raise web.HTTPNotFound
    return await handler(request)


async def safe_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to every response; by default nothing is cached."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def error_response(
    request: web.Request, status: int, text: str, *, allowed: str | None = None, trades: Sequence[str] = ()
) -> web.Response:
    """A response with an error message, in the format of the request; a page links to ``trades``."""
    headers = {"Allow": allowed} if allowed else {}
    if status in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[status])
    path = request.path.rstrip("/")
    text = visible(text)
    if path.endswith(".json") or path.startswith(("/api/", "/healthz/")):
        return web.json_response({"status": status, "error": text}, status=status, headers=headers)
    if path.endswith(".csv") or path in {"/metrics", "/download/csv"}:
        return web.Response(text=f"{text}\n", status=status, headers=headers)
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    html = page("error.html.j2", title=title, status=status, text=text, trades=trades)
    return web.Response(text=html, content_type="text/html", status=status, headers=headers)
