"""Results on their way into the database: history and chain, the newest version of each trade, what moved its break.

A result counts on its home topic: ``reconciled`` for MATCHED and CANCELLED, ``mismatch`` for the others. A result that
moves a trade is on both; its copy is passed over, so that history and chain of a partition follow from it alone.
"""

import logging
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection

from traderecon.records import Transition
from traderecon.records.result_message import ResultHead, decode_head, same_content
from traderecon.records.results import BREAK_STATES
from traderecon.sink.break_projection import History, Row, project, result_row
from traderecon.sink.chain import link
from traderecon.sink.decoding import decoded
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, asked, at, forgot, wrote
from traderecon.transport import Record

logger = logging.getLogger(__name__)

_BY_TRADE = "SELECT trade_id, version, event_id, state FROM result_history WHERE trade_id IN (...)"
_TEXT = "SELECT result, content_sha256 FROM result_history WHERE trade_id = ? AND version = ? AND event_id = ?"
_BREAK_HISTORY = (
    "SELECT trade_id, version, decided_at, result FROM result_history WHERE trade_id IN (...) "
    "AND content_sha256 IS NULL "
    "ORDER BY trade_id, version, id"
)
_FORGET_EVENTS = "DELETE FROM break_events WHERE break_id IN (...)"


def take_results(connection: Connection, sql: Statements, feed: Feed, *, breaks: bool) -> tuple[WriteResult, str]:
    """Write the results at home here (``breaks``: on ``mismatch``); gives what came of it, and the chain's new head.

    Of two results with one version the first counts; both are in the history. A version and event id that are there
    already are the same result again. An event id under another version is a result of its own: a trade that was
    forgotten, and whose leg comes once more, breaks once more on the same evidence, and whatever became of it in
    between, its newest result is that one.
    """
    topic, partition = feed.topic, feed.partition
    came = [one for record in feed.records if (one := _came(topic, partition, record)).is_break is breaks]
    known = _Known(connection, feed, {one.trade_id for one in came})
    history: list[Row] = []
    newest: list[Row] = []
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
        _write_breaks(connection, sql, moved)
    return WriteResult(len(history), known.conflicts, received_at_ns), head


def _write_breaks(connection: Connection, sql: Statements, trade_ids: Iterable[str]) -> None:
    """Project the breaks of these trades again, each from all its results."""
    rows = asked(connection, _BREAK_HISTORY, trade_ids)
    trades = [project(map(History._make, history)) for _, history in groupby(rows, key=lambda row: str(row[0]))]
    breaks = [each.break_row for each in trades if each.break_row is not None]
    forgot(connection, _FORGET_EVENTS, [row[0] for row in breaks])
    wrote(connection, sql.break_event, [event for each in trades for event in each.events])
    wrote(connection, sql.break_row, breaks)


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
    value, decided_at = record.value or b"", at(record)

    def decode(value: bytes) -> tuple[ResultHead, str, Row]:
        head = decode_head(value)
        return head, value.decode(), result_row(head, decided_at)

    head, text, row = decoded(decode, topic, partition, record)
    return _Came(
        head.event_id,
        head.trade_id,
        head.version,
        head.state,
        head.is_break,
        head.broken.transition is not Transition.NONE,
        record.offset,
        decided_at,
        value,
        text,
        row,
        head.received_at_ns,
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
        if value is not None and not same_content(one.value, value):
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
