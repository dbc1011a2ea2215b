"""Results on their way into the database: history and chain, the newest version of each trade, what moved its break.

A result counts on its home topic: ``reconciled`` for MATCHED and CANCELLED, ``mismatch`` for the others. A result that
moves a trade is on both; its copy is passed over, so that history and chain of a partition follow from it alone.
"""

import logging
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from traderecon.records import Transition
from traderecon.sink.chain import link
from traderecon.sink.messages import BREAK_STATES, ResultMessage, listed, result_of, same, severity_of
from traderecon.sink.moves import write_moves
from traderecon.sink.statements import Statements
from traderecon.sink.taken import Feed, Taken, asked, at, wrote
from traderecon.transport import Record

logger = logging.getLogger(__name__)

_BY_TRADE = "SELECT trade_id, version, event_id, state FROM result_history WHERE trade_id IN (...)"
_BY_EVENT = "SELECT event_id, result FROM result_history WHERE event_id IN (...)"
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
    moved: set[str] = set()
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
        newest.append(_newest_row(result, decided_at))
        if breaks or result.trade_id in known.broken or result.broken.transition is not Transition.NONE:
            moved.add(result.trade_id)
        if (instant_ns := result.received_at_ns) is not None:
            received_at_ns.append(instant_ns)
    wrote(connection, sql.history, history)
    wrote(connection, sql.result, newest)
    if moved:
        write_moves(connection, sql, moved)
    return Taken(len(history), known.conflicts, received_at_ns), head


class _Known:
    """The results of these trades that the database has, and those of the batch so far."""

    def __init__(self, connection: Connection, trade_ids: Iterable[str]) -> None:
        self.conflicts = 0
        self._connection = connection
        self._values: dict[str, bytes | None] = {}
        self._events: dict[tuple[str, int], str] = {}
        self.broken: set[str] = set()
        for trade_id, version, event_id, state in asked(connection, _BY_TRADE, trade_ids):
            self._values[event_id] = None
            self._events[trade_id, version] = event_id
            if state in BREAK_STATES:
                self.broken.add(trade_id)

    def has(self, event_id: str, value: bytes, place: str) -> bool:
        """Whether this result is there; one that says something else is a conflict."""
        if event_id not in self._values:
            return False
        before = self._values[event_id]
        if before is None:
            [(_, text)] = asked(self._connection, _BY_EVENT, [event_id])
            before = self._values[event_id] = text.encode()
        if not same(value, before):
            self.conflicts += 1
            logger.error("%s: event %s is known with another content: the first one stays", place, event_id)
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


def _newest_row(result: ResultMessage, decided_at: str) -> tuple[Any, ...]:
    size = result.size
    return (
        result.trade_id,
        result.version,
        result.state,
        listed(result.reasons),
        listed(result.hints),
        result.event_id,
        result.event_time,
        decided_at,
        size.ticker,
        size.notional,
        severity_of(result.reasons),
    )
