"""Write results to the database: history and chain, the newest version of each trade, and its break.

A result's own topic is ``reconciled`` for MATCHED and CANCELLED, ``mismatch`` for the other states. A result that moves
its trade to the other topic is published on both. The copy that is not on its own topic is skipped, so that the history
and chain of a partition depend on that partition alone.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection

from traderecon.records import Transition, break_id
from traderecon.records.formats import IN_GROUP
from traderecon.records.members import decode_sent_ids
from traderecon.records.result_head import ResultHead, decode_head, require_publishable
from traderecon.records.result_message import same_content
from traderecon.records.results import BREAK_STATES
from traderecon.sink.break_projection import HistoryEntry, Projection, UnreadableResult, project, result_row
from traderecon.sink.chain import link
from traderecon.sink.columns import HistoryColumns, ResultColumns, SentIdColumns
from traderecon.sink.database import unreadable_row
from traderecon.sink.decoding import decode_record
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, appended_at, delete_in, insert_rows, select_in
from traderecon.transport import Record

logger = logging.getLogger(__name__)

_BY_TRADE = "SELECT trade_id, version, event_id, state FROM result_history WHERE trade_id IN (...)"
_TEXT = "SELECT result, content_sha256 FROM result_history WHERE trade_id = ? AND version = ? AND event_id = ?"
_BREAK_HISTORY = (
    "SELECT trade_id, version, decided_at, result FROM result_history WHERE trade_id IN (...) "
    "AND content_sha256 IS NULL "
    "ORDER BY trade_id, version, id"
)
_BREAKS_OF_TRADES = "SELECT break_id, trade_id FROM breaks WHERE trade_id IN (...)"
_BREAKS_WITH_IDS = "SELECT break_id, trade_id FROM breaks WHERE break_id IN (...)"
_DELETE_BREAKS = "DELETE FROM breaks WHERE break_id IN (...)"
_DELETE_EVENTS = "DELETE FROM break_events WHERE break_id IN (...)"


def write_results(connection: Connection, sql: Statements, feed: Feed, *, breaks: bool) -> tuple[WriteResult, str]:
    """Write the results on their own topic (``breaks``: ``mismatch``); returns what was written and the new chain head.

    A result whose version and event id are stored already is a repeat. Of two results with the same version the first
    counts; both are in the history. The same event id under another version is a result of its own: when a leg of a
    forgotten trade arrives again, the trade breaks again on the same evidence, and that is its newest result.
    """
    topic, partition = feed.topic, feed.partition
    incoming = [result for record in feed.records if (result := _incoming(topic, partition, record)).is_break is breaks]
    existing = _ExistingResults(connection, feed, {result.trade_id for result in incoming})
    history: list[HistoryColumns] = []
    newest: list[ResultColumns] = []
    sent_ids: set[SentIdColumns] = set()
    changed_breaks: set[str] = set()
    received_at_ns: list[int] = []
    head = feed.head
    for result in incoming:
        earlier = existing.by_trade.get(result.trade_id)
        if earlier is None:  # the usual case
            existing.by_trade[result.trade_id] = [result]
        elif existing.contains(result, earlier):
            continue
        value, offset = result.value, result.offset
        head = link(head, topic, partition, offset, value)
        history.append(
            HistoryColumns(
                event_id=result.event_id,
                trade_id=result.trade_id,
                version=result.version,
                state=result.state,
                topic=topic,
                partition=partition,
                offset=offset,
                decided_at=result.decided_at,
                result=result.text,
                chain=head,
            )
        )
        if earlier is not None and not existing.add(result, earlier):
            continue
        newest.append(result.row)
        sent_ids.update(result.sent_ids)
        if breaks or result.changes_break or (earlier is not None and any(before.is_break for before in earlier)):
            changed_breaks.add(result.trade_id)
        if result.received_at_ns is not None:
            received_at_ns.append(result.received_at_ns)
    insert_rows(connection, sql.history, history)
    insert_rows(connection, sql.result, newest)
    insert_rows(connection, sql.sent_id, sorted(sent_ids))
    if changed_breaks:
        _write_breaks(connection, sql, changed_breaks)
    return WriteResult(len(history), existing.conflicts, received_at_ns), head


def _write_breaks(connection: Connection, sql: Statements, trade_ids: Iterable[str]) -> None:
    """Derive the breaks of these trades again, each from all its results."""
    trade_ids = _remove_foreign_breaks(connection, trade_ids)
    rows = select_in(connection, _BREAK_HISTORY, trade_ids)
    projections = [_project(trade_id, history) for trade_id, history in groupby(rows, key=lambda row: str(row[0]))]
    breaks = [projection.break_row for projection in projections if projection.break_row is not None]
    delete_in(connection, _DELETE_EVENTS, [row.break_id for row in breaks])
    insert_rows(connection, sql.break_event, [event for projection in projections for event in projection.events])
    insert_rows(connection, sql.break_row, breaks)


def _remove_foreign_breaks(connection: Connection, trade_ids: Iterable[str]) -> set[str]:
    """Remove rows of these trades, or with the ids of their breaks, whose id is not made from their trade.

    An earlier version stored foreign results as they came. Returns the trades, with those that now need their break
    derived again.
    """
    trades: set[str] = set()
    found = set(trade_ids)
    while found:
        trades |= found
        rows = [
            *select_in(connection, _BREAKS_OF_TRADES, found),
            *select_in(connection, _BREAKS_WITH_IDS, map(break_id, found)),
        ]
        foreign = {id_: trade_id for id_, trade_id in rows if id_ != break_id(trade_id)}
        for statement in (_DELETE_EVENTS, _DELETE_BREAKS):
            delete_in(connection, statement, foreign)
        found = {*foreign.values()} - trades
    return trades


def _project(trade_id: str, history: Iterable[Sequence[Any]]) -> Projection:
    try:
        return project(map(HistoryEntry._make, history))
    except UnreadableResult as error:
        raise unreadable_row(f"a result of trade {trade_id!r}", error) from error


class _IncomingResult(msgspec.Struct, frozen=True, gc=False):
    """A result from the topic; ``row`` is its ``results`` row, in case it is the newest of its trade.

    ``sent_ids``: of a group, or with a match key.
    """

    event_id: str
    trade_id: str
    version: int
    state: str
    is_break: bool
    changes_break: bool
    offset: int
    decided_at: str
    value: bytes
    text: str
    row: ResultColumns
    sent_ids: Sequence[SentIdColumns]
    received_at_ns: int | None


def _incoming(topic: str, partition: int, record: Record) -> _IncomingResult:
    # Everything needed of a message is extracted at once: thousands of decoded messages would not fit the CPU caches.
    value, decided_at = record.value or b"", appended_at(record)

    def decode(value: bytes) -> tuple[ResultHead, str, ResultColumns, Sequence[SentIdColumns]]:
        head = decode_head(value)
        require_publishable(head)
        return head, value.decode(), result_row(head, decided_at), sent_id_rows(head, value)

    head, text, row, sent_ids = decode_record(decode, topic, partition, record)
    return _IncomingResult(
        head.event_id,
        head.trade_id,
        head.version,
        head.state,
        head.is_break,
        head.break_.transition is not Transition.NONE,
        record.offset,
        decided_at,
        value,
        text,
        row,
        sent_ids,
        head.received_at_ns,
    )


def sent_id_rows(head: ResultHead, value: bytes | str) -> Sequence[SentIdColumns]:
    """The ``sent_ids`` rows of a result: none unless it is of a group, or has a match key."""
    if head.format < IN_GROUP:
        return ()
    return [SentIdColumns(sent_id, head.trade_id) for sent_id in decode_sent_ids(value) if sent_id != head.trade_id]


class _StoredResult(msgspec.Struct, frozen=True, gc=False):
    """A result in the database."""

    event_id: str
    version: int
    is_break: bool


def _same_content(incoming: bytes, stored: bytes) -> bool:
    try:
        return same_content(incoming, stored)
    except (msgspec.MsgspecError, RecursionError):  # what is stored was changed: a conflict
        return False


Earlier = list[_StoredResult | _IncomingResult]


class _ExistingResults:
    """The results of these trades in the database, and those of the batch so far."""

    def __init__(self, connection: Connection, feed: Feed, trade_ids: Iterable[str]) -> None:
        self.conflicts = 0
        self.by_trade: dict[str, Earlier] = {}
        self._connection, self._feed = connection, feed
        for trade_id, version, event_id, state in select_in(connection, _BY_TRADE, trade_ids):
            self.by_trade.setdefault(trade_id, []).append(_StoredResult(event_id, version, state in BREAK_STATES))

    def contains(self, result: _IncomingResult, earlier: Earlier) -> bool:
        """Whether this result exists already; if its content differs, that is a conflict."""
        key = (result.version, result.event_id)
        existing = next((each for each in earlier if (each.version, each.event_id) == key), None)
        if existing is None:
            return False
        value = existing.value if isinstance(existing, _IncomingResult) else self._stored_value(result)
        if value is not None and not _same_content(result.value, value):
            self.conflicts += 1
            logger.error(
                "%s: event %s is stored with other content: the stored one stays",
                self._coordinates(result),
                result.event_id,
            )
        return True

    def add(self, result: _IncomingResult, earlier: Earlier) -> bool:
        """Add a new result; False: another result has its version already, a conflict."""
        first = next((each for each in earlier if each.version == result.version), None)
        earlier.append(result)
        if first is None:
            return True
        self.conflicts += 1
        logger.error(
            "%s: trade %r has version %s already, as event %s: event %s is in the history only",
            self._coordinates(result),
            result.trade_id,
            result.version,
            first.event_id,
            result.event_id,
        )
        return False

    def _stored_value(self, result: _IncomingResult) -> bytes | None:
        """The stored value of this version and event id; None if it was purged."""
        key = (result.trade_id, result.version, result.event_id)
        [(text, purged)] = self._connection.exec_driver_sql(_TEXT, key)
        return str(text).encode() if purged is None else None

    def _coordinates(self, result: _IncomingResult) -> str:
        return f"{self._feed.topic}[{self._feed.partition}] offset {result.offset}"
