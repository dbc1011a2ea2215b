"""Moves: the breaks of the trades that a batch touched, made anew from all their results."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection

from traderecon.sink.breaks import BreakEvent, Course, Told, course, events
from traderecon.sink.messages import BREAK_STATES, ResultMessage, listed, read, severity_of, unlisted
from traderecon.sink.statements import Statements
from traderecon.sink.taken import asked, forgot, wrote

_HISTORY = (
    "SELECT trade_id, version, decided_at, result FROM result_history WHERE trade_id IN (...) "
    "AND content_sha256 IS NULL "
    "ORDER BY trade_id, version, id"
)
_FORGET = "DELETE FROM break_events WHERE break_id IN (...)"


class _Broken(NamedTuple):
    """A trade's break: what moved it, and the newest of its results that did."""

    moved: list[BreakEvent]
    course: Course
    newest: ResultMessage


def write_moves(connection: Connection, sql: Statements, trade_ids: Iterable[str]) -> None:
    """Make the events and rows of these trades' breaks; of two results with one version the first counts."""
    broken = [*_broken(connection, trade_ids)]
    forgot(connection, _FORGET, [each.course.newest.break_id for each in broken])
    wrote(connection, sql.break_event, [event for each in broken for event in each.moved])
    wrote(connection, sql.break_row, [_row(each) for each in broken])


def _broken(connection: Connection, trade_ids: Iterable[str]) -> Iterator[_Broken]:
    for trade_id, rows in groupby(asked(connection, _HISTORY, trade_ids), key=lambda row: str(row[0])):
        results: dict[int, ResultMessage] = {}
        told: dict[int, Told] = {}
        for _, version, decided_at, value in rows:
            if version in told:
                continue
            result = results[version] = read(value)
            is_break = result.state in BREAK_STATES
            told[version] = Told(version, is_break, result.state, listed(result.reasons), result.event_id, decided_at)
        newest = next(reversed(results.values()))
        moved = events(newest.broken.id, trade_id, [*told.values()])
        if (found := course(moved)) is not None:
            yield _Broken(moved, found, results[found.newest.version])


def _row(broken: _Broken) -> tuple[Any, ...]:
    newest, classified, size = broken.course.newest, broken.course.classified, broken.newest.size
    return (
        newest.break_id,
        newest.trade_id,
        broken.course.status.value,
        newest.state,
        classified.reasons,
        severity_of(unlisted(classified.reasons)),
        size.ticker,
        size.notional,
        size.event_time,
        broken.course.opened_at,
        newest.at,
        broken.course.resolved_at,
        newest.version,
        newest.event_id,
    )
