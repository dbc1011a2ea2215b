"""Doors: who is let in, under which name, and what everybody is told when something is wrong.

Nothing but what ``attach`` put up is served: Faust's own pages are not found. Bound to loopback, only requests that
call us by a name of this machine are answered, so that no page of others can make a browser read ours.
"""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import Any

from aiohttp import web

from traderecon.sink.queries import UNREADABLE
from traderecon.web.templates import page, visible

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OURS: web.AppKey[Collection[str]] = web.AppKey("ours", Collection[str])
"""The routes that are ours, as they were registered."""
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

AGAIN_S = {429: 30, 503: 5}
"""After which somebody who was refused may ask again."""

_HERE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_HEALTH = {"/healthz", "/health", "/live", "/ready"}
_TITLES = {
    400: "This question cannot be answered",
    404: "Not found",
    405: "Not allowed",
    421: "Not by this name",
    429: "Too many downloads at once",
    500: "Something broke here",
    503: "The database cannot be read",
}

log = logging.getLogger(__name__)


class BadRequest(Exception):
    """A request that cannot be answered: the status, and a sentence for whoever asked."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def middlewares() -> list[Any]:
    """What ``web_application_options`` of an app needs for ``attach`` to be safe, outermost first."""
    return [readable_errors, only_ours]


@web.middleware
async def readable_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal and every failure as a page, or as JSON or text where that was asked for."""
    try:
        return await handler(request)
    except BadRequest as refused:
        return told(request, refused.status, refused.text)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        text = _not_found(request.path) if answer.status == 404 else f"{answer.reason}."
        return told(request, answer.status, text, allowed=answer.headers.get("Allow"))
    except UNREADABLE as error:
        log.error("%s %r: the database cannot be read: %s", request.method, request.path, error)
        return told(request, 503, "The database did not answer. The log says why; `traderecon doctor` looks into it.")
    except Exception:
        number = secrets.token_hex(4)
        log.exception("error %s: %s %r failed", number, request.method, request.path_qs)
        return told(request, 500, f"Error {number}: the log has a line with this number, and what led to it.")


def _not_found(path: str) -> str:
    if path.rstrip("/") in _HEALTH or path.startswith("/healthz/"):
        return f"{path} is no page here: health is at /healthz/live and /healthz/ready."
    return f"{path} is no page here."


@web.middleware
async def only_ours(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what is not ours to serve, and a name that is not this machine's."""
    host = request.headers.get("Host")
    if request.app.get(LOOPBACK, True) and host is not None and not _HERE.fullmatch(host):
        raise BadRequest(421, f"This server is reached as localhost or 127.0.0.1, not as {host[:255]}.")
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical not in request.app.get(OURS, ()):
        raise web.HTTPNotFound
    return await handler(request)


async def safe_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer; what somebody may look at again is asked for again."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def told(request: web.Request, status: int, text: str, *, allowed: str | None = None) -> web.Response:
    """An answer that says what is wrong, in the form that was asked for."""
    headers = {"Allow": allowed} if allowed else {}
    if status in AGAIN_S:
        headers["Retry-After"] = str(AGAIN_S[status])
    path = request.path.rstrip("/")
    text = visible(text)
    if path.endswith(".json") or path.startswith(("/api/", "/healthz/")):
        return web.json_response({"status": status, "error": text}, status=status, headers=headers)
    if path.endswith(".csv") or path in {"/metrics", "/download/csv"}:
        return web.Response(text=f"{text}\n", status=status, headers=headers)
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    html = page("error.html.j2", title=title, status=status, text=text)
    return web.Response(text=html, content_type="text/html", status=status, headers=headers)
