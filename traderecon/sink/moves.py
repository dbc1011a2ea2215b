"""Moves: what results do to breaks, written down, and the rows of the breaks that follow from all of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from traderecon.sink.breaks import BreakEvent, course
from traderecon.sink.messages import Size, severity_of, size_in, unlisted
from traderecon.sink.statements import Statements
from traderecon.sink.taken import asked, wrote

_BY_BREAK = (
    "SELECT break_id, version, trade_id, transition, state, reasons, event_id, previous_event_id, at FROM break_events "
    "WHERE break_id IN (...) ORDER BY break_id, version"
)
_BY_EVENT = "SELECT event_id, result FROM result_history WHERE event_id IN (...)"


def write_moves(
    connection: Connection, sql: Statements, moves: Sequence[BreakEvent], sizes: Mapping[str, Size]
) -> None:
    """Add these events, and make the rows of their breaks anew. ``sizes``: of their results, by event id."""
    if not moves:
        return
    wrote(connection, sql.break_event, [*moves])
    wrote(connection, sql.break_row, [*_rows(connection, {move.break_id for move in moves}, sizes)])


def _rows(connection: Connection, break_ids: set[str], sizes: Mapping[str, Size]) -> Iterator[tuple[Any, ...]]:
    every = [BreakEvent(*row) for row in asked(connection, _BY_BREAK, break_ids)]
    courses = [found for _, events in groupby(every, key=lambda event: event.break_id) if (found := course([*events]))]
    # The newest event may have been read long before an older one, from another topic.
    absent = {found.newest.event_id for found in courses} - sizes.keys()
    earlier = {event_id: size_in(result.encode()) for event_id, result in asked(connection, _BY_EVENT, absent)}
    for found in courses:
        newest, classified = found.newest, found.classified
        size = sizes.get(newest.event_id) or earlier[newest.event_id]
        yield (
            newest.break_id,
            newest.trade_id,
            found.status.value,
            newest.state,
            classified.reasons,
            severity_of(unlisted(classified.reasons)),
            size.ticker,
            size.notional,
            size.event_time,
            found.opened_at,
            newest.at,
            found.resolved_at,
            newest.version,
            newest.event_id,
        )
