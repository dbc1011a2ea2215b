"""A break: a trade that needs a person, followed over its versions. Its row follows from its events in version order.

    BreakEvent, BreakEvent, ...   in any order of arrival  ->  sorted by version  ->  Course      Pure.

Topics are read side by side, so a break may be resolved here before its opening is read. Until then it has no row.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from traderecon.records import Transition


class Status(StrEnum):
    """Whether somebody has to look."""

    OPEN = "OPEN"
    REOPENED = "REOPENED"
    RESOLVED = "RESOLVED"


class BreakEvent(NamedTuple):
    """What moved a break: a row of ``break_events``. ``reasons`` is a JSON list, ``at`` ISO 8601."""

    break_id: str
    version: int
    trade_id: str
    transition: str
    state: str
    reasons: str
    event_id: str
    previous_event_id: str | None
    at: str


class Course(NamedTuple):
    """What the events of a break come to.

    ``classified`` is the newest one that says what is wrong, ``opened_at`` when it was opened last.
    """

    status: Status
    newest: BreakEvent
    classified: BreakEvent
    opened_at: str
    resolved_at: str | None


def course(events: Sequence[BreakEvent]) -> Course | None:
    """What these events of one break, in version order, come to; None where none of them says what is wrong."""
    status, classified, opened_at, resolved = Status.OPEN, None, "", False
    for event in events:
        if event.transition == Transition.RESOLVED:
            status, resolved = Status.RESOLVED, True
            continue
        if event.transition == Transition.OPENED or not opened_at:
            status, opened_at = Status.REOPENED if resolved else Status.OPEN, event.at
        classified = event
    if classified is None:
        return None
    newest = events[-1]
    return Course(status, newest, classified, opened_at, newest.at if status is Status.RESOLVED else None)
