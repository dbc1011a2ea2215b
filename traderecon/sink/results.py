"""Results on their way into the database: history and chain, the newest version of each trade, what moved its break.

A result counts on its home topic: ``reconciled`` for MATCHED and CANCELLED, ``mismatch`` for the others. A result that
moves a trade is on both; its copy is passed over, so that history and chain of a partition follow from it alone.
"""

import logging
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from traderecon.records import State, Transition
from traderecon.sink.breaks import BreakEvent
from traderecon.sink.chain import link
from traderecon.sink.messages import ResultMessage, Size, listed, result_of, severity_of
from traderecon.sink.moves import write_moves
from traderecon.sink.statements import Statements
from traderecon.sink.taken import Feed, Taken, asked, at, wrote
from traderecon.transport import Record

logger = logging.getLogger(__name__)

_BY_TRADE = "SELECT trade_id, version, event_id FROM result_history WHERE trade_id IN (...)"
_BY_EVENT = "SELECT event_id, result FROM result_history WHERE event_id IN (...)"
BREAK_STATES = frozenset(state.value for state in State if state.is_break)
Rows = list[tuple[Any, ...]]


def take_results(connection: Connection, sql: Statements, feed: Feed, *, breaks: bool) -> tuple[Taken, str]:
    """Write the results at home here (``breaks``: on ``mismatch``); gives what came of it, and the chain's new head.

    Of two results with one version the first counts; both are in the history. An event id that is there already is the
    same result again.
    """
    came = [
        (record, result)
        for record in feed.records
        if ((result := result_of(feed.topic, feed.partition, record)).state in BREAK_STATES) is breaks
    ]
    known = _Known(connection, {result.trade_id for _, result in came})
    history: Rows = []
    newest: Rows = []
    moves: list[BreakEvent] = []
    sizes: dict[str, Size] = {}
    received_at_ns: list[int] = []
    head = feed.head
    for record, result in came:
        place = f"{feed.topic}[{feed.partition}] offset {record.offset}"
        value = record.value or b""
        if known.has(result.event_id, value, place):
            continue
        head, decided_at = link(head, feed.topic, feed.partition, record.offset, value), at(record)
        history.append(_history_row(feed, record, result, decided_at, head))
        if not known.first(result, value, place):
            continue
        size, reasons = result.size, listed(result.reasons)
        newest.append(_newest_row(result, size, reasons, decided_at))
        if result.broken.transition is not Transition.NONE:
            moves.append(_move(result, reasons, decided_at))
            sizes[result.event_id] = size
        if (instant_ns := result.received_at_ns) is not None:
            received_at_ns.append(instant_ns)
    wrote(connection, sql.history, history)
    wrote(connection, sql.result, newest)
    write_moves(connection, sql, moves, sizes)
    opened, reclassified, resolved = (
        sum(move.transition == transition for move in moves)
        for transition in (Transition.OPENED, Transition.RECLASSIFIED, Transition.RESOLVED)
    )
    return Taken(len(history), known.conflicts, opened, reclassified, resolved, received_at_ns), head


class _Known:
    """The results of these trades that the database has, and those of the batch so far."""

    def __init__(self, connection: Connection, trade_ids: Iterable[str]) -> None:
        self.conflicts = 0
        self._connection = connection
        self._values: dict[str, bytes | None] = {}
        self._events: dict[tuple[str, int], str] = {}
        for trade_id, version, event_id in asked(connection, _BY_TRADE, trade_ids):
            self._values[event_id] = None
            self._events[trade_id, version] = event_id

    def has(self, event_id: str, value: bytes, place: str) -> bool:
        """Whether this result is there; with other bytes it is a conflict."""
        if event_id not in self._values:
            return False
        before = self._values[event_id]
        if before is None:
            [(_, text)] = asked(self._connection, _BY_EVENT, [event_id])
            before = self._values[event_id] = text.encode()
        if value != before:
            self.conflicts += 1
            logger.error("%s: event %s is known with other bytes: the first ones stay", place, event_id)
        return True

    def first(self, result: ResultMessage, value: bytes, place: str) -> bool:
        """Take note of a new result; False: another one has its version, a conflict."""
        self._values[result.event_id] = value
        first = self._events.setdefault((result.trade_id, result.version), result.event_id)
        if first == result.event_id:
            return True
        self.conflicts += 1
        logger.error(
            "%s: trade %r has version %s already, as event %s: event %s is in the history only",
            place,
            result.trade_id,
            result.version,
            first,
            result.event_id,
        )
        return False


def _history_row(feed: Feed, record: Record, result: ResultMessage, decided_at: str, chain: str) -> tuple[Any, ...]:
    return (
        result.event_id,
        result.trade_id,
        result.version,
        result.state,
        feed.topic,
        feed.partition,
        record.offset,
        decided_at,
        (record.value or b"").decode(),
        chain,
    )


def _newest_row(result: ResultMessage, size: Size, reasons: str, decided_at: str) -> tuple[Any, ...]:
    return (
        result.trade_id,
        result.version,
        result.state,
        reasons,
        listed(result.hints),
        result.event_id,
        result.event_time,
        decided_at,
        size.ticker,
        size.notional,
        severity_of(result.reasons),
    )


def _move(result: ResultMessage, reasons: str, decided_at: str) -> BreakEvent:
    return BreakEvent(
        result.broken.id,
        result.version,
        result.trade_id,
        result.broken.transition.value,
        result.state,
        reasons,
        result.event_id,
        result.broken.previous_event_id,
        decided_at,
    )
