"""A break: a trade that needs a person, followed over its versions.

It follows from the trade's results alone: not from the order in which they were read, nor from what whoever published
one of them thought had been before it.

    Told, Told, ...   the results of one trade, in version order  ->  events  ->  Course      Pure.
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


class Told(NamedTuple):
    """One result of a trade, as far as its break goes. ``reasons`` is a JSON list, ``at`` ISO 8601."""

    version: int
    is_break: bool
    state: str
    reasons: str
    event_id: str
    at: str


class BreakEvent(NamedTuple):
    """What moved a break: a row of ``break_events``."""

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


def events(break_id: str, trade_id: str, results: Sequence[Told]) -> list[BreakEvent]:
    """What these results, in version order, did to the break of their trade."""
    found = []
    before: Told | None = None
    for result in results:
        was = before is not None and before.is_break
        transition = Transition.NONE
        if was != result.is_break:
            transition = Transition.OPENED if result.is_break else Transition.RESOLVED
        elif before is not None and was and (before.state, before.reasons) != (result.state, result.reasons):
            transition = Transition.RECLASSIFIED
        if transition is not Transition.NONE:
            previous = None if before is None else before.event_id
            found.append(
                BreakEvent(
                    break_id,
                    result.version,
                    trade_id,
                    transition.value,
                    result.state,
                    result.reasons,
                    result.event_id,
                    previous,
                    result.at,
                )
            )
        before = result
    return found


def course(moved: Sequence[BreakEvent]) -> Course | None:
    """What these events of one break, in version order, come to; None for none."""
    status, classified, opened_at = Status.OPEN, None, ""
    for event in moved:
        if event.transition == Transition.RESOLVED:
            status = Status.RESOLVED
            continue
        if event.transition == Transition.OPENED:
            status, opened_at = Status.REOPENED if opened_at else Status.OPEN, event.at
        classified = event
    if classified is None:
        return None
    newest = moved[-1]
    return Course(status, newest, classified, opened_at, newest.at if status is Status.RESOLVED else None)
