"""Results on their way into the database: history and chain, the newest version of each trade, what moved its break.

A result counts on its home topic: ``reconciled`` for MATCHED and CANCELLED, ``mismatch`` for the others. A result that
moves a trade is on both; its copy is passed over, so that history and chain of a partition follow from it alone.
"""

import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection

from traderecon.records import Transition
from traderecon.sink.chain import link
from traderecon.sink.messages import BREAK_STATES, listed, result_of, same, severity_of
from traderecon.sink.moves import write_moves
from traderecon.sink.statements import Statements
from traderecon.sink.taken import Feed, Taken, asked, at, wrote
from traderecon.transport import Record

logger = logging.getLogger(__name__)

_BY_TRADE = "SELECT trade_id, version, event_id, state FROM result_history WHERE trade_id IN (...)"
_TEXT = "SELECT result, content_sha256 FROM result_history WHERE trade_id = ? AND version = ? AND event_id = ?"
Rows = list[tuple[Any, ...]]


def take_results(connection: Connection, sql: Statements, feed: Feed, *, breaks: bool) -> tuple[Taken, str]:
    """Write the results at home here (``breaks``: on ``mismatch``); gives what came of it, and the chain's new head.

    Of two results with one version the first counts; both are in the history. A version and event id that are there
    already are the same result again. An event id under another version is a result of its own: a trade that was
    forgotten, and whose leg comes once more, breaks once more on the same evidence, and whatever became of it in
    between, its newest result is that one.
    """
    topic, partition = feed.topic, feed.partition
    came = [one for record in feed.records if (one := _came(topic, partition, record)).is_break is breaks]
    known = _Known(connection, feed, {one.trade_id for one in came})
    history: Rows = []
    newest: Rows = []
    moved: set[str] = set()
    received_at_ns: list[int] = []
    head = feed.head
    for one in came:
        earlier = known.earlier.get(one.trade_id)
        if earlier is None:  # as it is of nearly all
            known.earlier[one.trade_id] = [one]
        elif known.has(one, earlier):
            continue
        value, offset = one.value, one.offset
        head = link(head, topic, partition, offset, value)
        place = (topic, partition, offset)
        history.append((one.event_id, one.trade_id, one.version, one.state, *place, one.decided_at, one.text, head))
        if earlier is not None and not known.first(one, earlier):
            continue
        newest.append(one.row)
        if breaks or one.moves or (earlier is not None and any(before.is_break for before in earlier)):
            moved.add(one.trade_id)
        if one.received_at_ns is not None:
            received_at_ns.append(one.received_at_ns)
    wrote(connection, sql.history, history)
    wrote(connection, sql.result, newest)
    if moved:
        write_moves(connection, sql, moved)
    return Taken(len(history), known.conflicts, received_at_ns), head


class _Came(msgspec.Struct, frozen=True, gc=False):
    """A result as it came, and its row, should it be the newest of its trade."""

    event_id: str
    trade_id: str
    version: int
    state: str
    is_break: bool
    moves: bool
    offset: int
    decided_at: str
    value: bytes
    text: str
    row: tuple[Any, ...]
    received_at_ns: int | None


def _came(topic: str, partition: int, record: Record) -> _Came:
    # All that is wanted of a message at once: thousands of them, kept with their parts, would fall out of every cache.
    result, size, text = result_of(topic, partition, record)
    event_id, trade_id, version, state = result.event_id, result.trade_id, result.version, result.state
    decided_at = at(record)
    row = (
        trade_id,
        version,
        state,
        listed(result.reasons),
        listed(result.hints),
        event_id,
        result.event_time,
        decided_at,
        size.ticker,
        size.notional,
        severity_of(result.reasons),
    )
    return _Came(
        event_id,
        trade_id,
        version,
        state,
        state in BREAK_STATES,
        result.broken.transition is not Transition.NONE,
        record.offset,
        decided_at,
        record.value or b"",
        text,
        row,
        result.received_at_ns,
    )


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """A result that the database has."""

    event_id: str
    version: int
    is_break: bool


Earlier = list[_Kept | _Came]


class _Known:
    """The results of these trades that the database has, and those of the batch so far."""

    def __init__(self, connection: Connection, feed: Feed, trade_ids: Iterable[str]) -> None:
        self.conflicts = 0
        self.earlier: dict[str, Earlier] = {}
        self._connection, self._feed = connection, feed
        for trade_id, version, event_id, state in asked(connection, _BY_TRADE, trade_ids):
            self.earlier.setdefault(trade_id, []).append(_Kept(event_id, version, state in BREAK_STATES))

    def has(self, one: _Came, earlier: Earlier) -> bool:
        """Whether this result is there; one that says something else is a conflict."""
        before = next((each for each in earlier if (each.version, each.event_id) == (one.version, one.event_id)), None)
        if before is None:
            return False
        value = before.value if isinstance(before, _Came) else self._value(one)
        if value is not None and not same(one.value, value):
            self.conflicts += 1
            logger.error("%s: event %s is known with another content: the first one stays", self._at(one), one.event_id)
        return True

    def first(self, one: _Came, earlier: Earlier) -> bool:
        """Take note of a new result; False: another one has its version, a conflict."""
        first = next((each for each in earlier if each.version == one.version), None)
        earlier.append(one)
        if first is None:
            return True
        self.conflicts += 1
        logger.error(
            "%s: trade %r has version %s already, as event %s: event %s is in the history only",
            self._at(one),
            one.trade_id,
            one.version,
            first.event_id,
            one.event_id,
        )
        return False

    def _value(self, one: _Came) -> bytes | None:
        """What the database has under that version and event id; None where it was purged."""
        [(text, purged)] = self._connection.exec_driver_sql(_TEXT, (one.trade_id, one.version, one.event_id))
        return str(text).encode() if purged is None else None

    def _at(self, one: _Came) -> str:
        return f"{self._feed.topic}[{self._feed.partition}] offset {one.offset}"
