"""What follows from the history of a trade: its rows in ``results``, ``breaks`` and ``break_events``, made anew. Pure.

History, History, ...   of one trade, by version and row   ->  Derived(result, broken, events)
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from traderecon.sink.breaks import Told, course, events
from traderecon.sink.messages import BREAK_STATES, listed, read, severity_of, unlisted

RESULTS = (
    *("trade_id", "version", "state", "reasons", "hints", "event_id", "event_time", "decided_at"),
    *("ticker", "notional", "severity"),
)
BREAKS = (
    *("break_id", "trade_id", "status", "state", "reasons", "severity", "ticker", "notional", "event_time"),
    *("opened_at", "changed_at", "resolved_at", "version", "event_id"),
)
EVENTS = ("break_id", "version", "trade_id", "transition", "state", "reasons", "event_id", "previous_event_id", "at")

Row = tuple[Any, ...]


class History(NamedTuple):
    """A row of the history as it lies there."""

    trade_id: Any
    version: Any
    decided_at: Any
    result: Any


class Derived(NamedTuple):
    """The rows that must be there, in the order of the names above; no break where the trade never was one."""

    result: Row
    broken: Row | None
    events: Sequence[Row]


def derived(history: Iterable[History]) -> Derived:
    """What these come to. Raises MsgspecError, ValueError or ArithmeticError for a result that is none."""
    told: dict[int, Told] = {}
    kept = {}
    for row in history:
        result = read(row.result)
        if result.version in told:
            continue  # of two results with one version the first counts
        kept[result.version] = (result, row.decided_at)
        is_break = result.state in BREAK_STATES
        said = (result.state, listed(result.reasons), result.event_id, row.decided_at)
        told[result.version] = Told(result.version, is_break, *said)
    newest, decided_at = next(reversed(kept.values()))
    size = newest.size
    row_ = (
        *(newest.trade_id, newest.version, newest.state, listed(newest.reasons), listed(newest.hints)),
        *(newest.event_id, newest.event_time, decided_at, size.ticker, size.notional, severity_of(newest.reasons)),
    )
    moved = events(newest.broken.id, newest.trade_id, [*told.values()])
    found = course(moved)
    if found is None:
        return Derived(row_, None, ())
    last, classified = found.newest, found.classified
    about = kept[last.version][0].size
    broken = (
        *(last.break_id, last.trade_id, found.status.value, last.state, classified.reasons),
        *(severity_of(unlisted(classified.reasons)), about.ticker, about.notional, about.event_time),
        *(found.opened_at, last.at, found.resolved_at, last.version, last.event_id),
    )
    return Derived(row_, broken, moved)
