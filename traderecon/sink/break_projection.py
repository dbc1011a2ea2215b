"""What follows from the history of a trade: its rows in ``results``, ``breaks`` and ``break_events``. Pure.

    History, History, ...   of one trade, by version and row   ->  Projection(result, break_row, events)

It follows from the trade's results alone: not from the order in which they were read, nor from what whoever published
one of them thought had been before it. The sink writes these rows, ``audit verify`` makes them again.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from traderecon.records import Transition
from traderecon.records.codes import worst_severity
from traderecon.records.result_message import ResultHead, decode_head
from traderecon.sink.decoding import json_list

Row = tuple[Any, ...]

RESULTS = (
    *("trade_id", "version", "state", "reasons", "hints", "event_id", "event_time", "decided_at"),
    *("ticker", "notional", "severity"),
)
BREAKS = (
    *("break_id", "trade_id", "status", "state", "reasons", "severity", "ticker", "notional", "event_time"),
    *("opened_at", "changed_at", "resolved_at", "version", "event_id"),
)
EVENTS = ("break_id", "version", "trade_id", "transition", "state", "reasons", "event_id", "previous_event_id", "at")


class BreakStatus(StrEnum):
    """Whether somebody has to look."""

    OPEN = "OPEN"
    REOPENED = "REOPENED"
    RESOLVED = "RESOLVED"


class History(NamedTuple):
    """A row of ``result_history``: its columns as they are stored."""

    trade_id: Any
    version: Any
    decided_at: Any
    result: Any


class Decided(NamedTuple):
    """A result of a trade, and when it was decided (ISO 8601)."""

    head: ResultHead
    decided_at: str


class Projection(NamedTuple):
    """The rows, in the order of the names above; no break where the trade never was one."""

    result: Row
    break_row: Row | None
    events: Sequence[Row]


class _Event(NamedTuple):
    transition: Transition
    current: Decided
    previous: Decided | None


def project(history: Iterable[History]) -> Projection:
    """The rows of a trade. MsgspecError, ValueError, ArithmeticError: one of its results is not one.

    Of two results with one version the first counts.
    """
    by_version: dict[int, Decided] = {}
    for row in history:
        head = decode_head(row.result)
        by_version.setdefault(head.version, Decided(head, row.decided_at))
    results = [*by_version.values()]
    events = _events(results)
    return Projection(result_row(*results[-1]), _break_row(events), [_event_row(event) for event in events])


def result_row(head: ResultHead, decided_at: str) -> Row:
    """The row of a trade whose newest result this is. ArithmeticError: its amounts are not numbers."""
    size = head.size
    severity = worst_severity(head.reasons)
    return (
        *(head.trade_id, head.version, head.state, json_list(head.reasons), json_list(head.hints), head.event_id),
        *(size.event_time, decided_at, size.ticker, size.notional, severity and severity.value),
    )


def _events(results: Sequence[Decided]) -> list[_Event]:
    """What these results, in version order, did to the break of their trade."""
    events = []
    before: Decided | None = None
    for current in results:
        was = None if before is None else (before.head.state, before.head.reasons)
        transition = Transition.between(was, (current.head.state, current.head.reasons))
        if transition is not Transition.NONE:
            events.append(_Event(transition, current, before))
        before = current
    return events


def _event_row(event: _Event) -> Row:
    head, at = event.current
    previous = None if event.previous is None else event.previous.head.event_id
    return (
        *(head.broken.id, head.version, head.trade_id, event.transition.value, head.state, json_list(head.reasons)),
        *(head.event_id, previous, at),
    )


def _break_row(events: Sequence[_Event]) -> Row | None:
    """What these events come to. The reasons are those of the newest one that says what is wrong."""
    status, classified, opened_at = BreakStatus.OPEN, None, ""
    for transition, current, _ in events:
        if transition is Transition.RESOLVED:
            status = BreakStatus.RESOLVED
            continue
        if transition is Transition.OPENED:
            status, opened_at = BreakStatus.REOPENED if opened_at else BreakStatus.OPEN, current.decided_at
        classified = current.head
    if classified is None:
        return None
    newest, changed_at = events[-1].current
    severity, size = worst_severity(classified.reasons), newest.size
    return (
        *(newest.broken.id, newest.trade_id, status.value, newest.state, json_list(classified.reasons)),
        *(severity and severity.value, size.ticker, size.notional, size.event_time, opened_at, changed_at),
        *(changed_at if status is BreakStatus.RESOLVED else None, newest.version, newest.event_id),
    )
