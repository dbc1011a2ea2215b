"""Verify every row of the database against the chains, their heads, the checkpoints and the result history.

    examine(connection, checkpoints) -> Examined(intact, rows, chains, findings)

Three streaming passes: the structure of the file; the chains, in row order; the trades, in order of their ids. Memory
holds one row of each chain, one trade, and the checkpoints.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from typing import Any

import msgspec

from traderecon.audit.chains import Walk, check_ends
from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.claims import claim_of
from traderecon.audit.database import beginnings, bound_topics, bytes_of, chain_starts
from traderecon.audit.findings import Finding, Findings, Kind
from traderecon.audit.links import HISTORY, ChainedTable, chained_tables, chainless_topics, table_of
from traderecon.records.checkpoint import Checkpoint, TopicPartition
from traderecon.records.formats import OtherFormat
from traderecon.sink.break_projection import HistoryEntry, Projection, project
from traderecon.sink.chain import START
from traderecon.sink.columns import BreakColumns, BreakEventColumns, ResultColumns
from traderecon.sink.purge import ChainStart
from traderecon.topics import Topics

MOST_DAMAGES = 20
"""Faults in the structure of the file that are reported."""

_FOREIGN_OBJECTS = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name"
_TRADES = (
    "SELECT trade_id, version, decided_at, result, id FROM result_history "
    "WHERE content_sha256 IS NULL ORDER BY trade_id, version, id"
)
_EVENTS = f"SELECT {', '.join(BreakEventColumns._fields)} FROM break_events WHERE break_id = ? ORDER BY version"  # noqa: S608  # our names
_RESULTS = f"SELECT {', '.join(ResultColumns._fields)} FROM results ORDER BY trade_id"  # noqa: S608  # the same
_BREAKS = f"SELECT {', '.join(BreakColumns._fields)} FROM breaks ORDER BY trade_id"  # noqa: S608  # the same
_OFFSETS = "SELECT topic, partition, next_offset, head FROM sink_offsets"


class ChainState(msgspec.Struct, frozen=True):
    """A chain: its rows, the sink's next offset, its head; ``checkpoint``: the time of its last one."""

    topic: str
    partition: int
    rows: int
    next_offset: Any
    head: str
    checkpoint: str | None


class Beginning(msgspec.Struct, frozen=True):
    """A partition whose history does not begin with its first message; ``complete_from``: ISO 8601."""

    topic: str
    partition: int
    first_offset: int
    complete_from: str


class AuditReport(msgspec.Struct, frozen=True):
    """The outcome of an audit. ``found`` counts the findings, ``findings`` has the first of them.

    ``beginnings``: partitions that are not complete from their first message on; ``purged``: rows that were reduced to
    their links, or removed.
    """

    intact: bool
    rows: int
    trades: int
    checkpoints: int
    chains: list[ChainState]
    found: int
    findings: list[Finding]
    beginnings: list[Beginning] = []
    purged: int = 0


def examine(
    connection: sqlite3.Connection,
    checkpoints: CheckpointSet,
    advance: Callable[[int], None] = lambda rows: None,
    checkpoint_findings: Iterable[Finding] = (),
) -> AuditReport:
    """Verify everything, in the connection's transaction; ``advance`` is called for every row, twice for a result.

    ``checkpoint_findings``: findings among the checkpoints themselves. The connection's ``text_factory`` must be
    ``audit.database.decode_text``. Event ids are recomputed only while nothing else was found in the rows.
    """
    findings = Findings()
    findings.add(checkpoint_findings)
    names = bound_topics(connection)
    partial_partitions = beginnings(connection)
    checkpoints = checkpoints.with_beginnings({tp: offset for tp, (offset, _) in partial_partitions.items()})
    starts = chain_starts(connection)
    tables = chained_tables(names)
    walks = {
        chained.table: Walk(chained.table, _in_table(checkpoints, chained), starts if chained.table == HISTORY else {})
        for chained in tables
    }
    offsets: dict[TopicPartition, tuple[Any, Any]] = {}
    trades = purged = 0
    try:
        findings.add(_structure(connection))
        findings.add(_check_starts(starts, checkpoints))
        offsets = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(_OFFSETS)}
        for chained in tables:
            counted: Counter[str] = Counter()
            with closing(connection.execute(chained.query)) as rows:
                for row in rows:
                    link = chained.link(row)
                    findings.add(walks[chained.table].step(link))
                    purged += link.digest is not None
                    findings.add(chained.check_columns(link, row, counted))
                    advance(1)
        findings.add(_check_offsets(names, walks, offsets))
        for count in _check_trades(connection, findings):
            trades += 1
            advance(count)
    except sqlite3.DatabaseError as error:
        findings.add([Finding(kind=Kind.DAMAGED, text=f"the rest of the file cannot be read: {error}")])
    return AuditReport(
        findings.count == 0,
        sum(chain.rows for walk in walks.values() for chain in walk.chains.values()),
        trades,
        checkpoints.count,
        _states(walks, offsets, checkpoints),
        findings.count,
        findings.with_text,
        [Beginning(*tp, *beginning) for tp, beginning in partial_partitions.items()],
        sum(start.rows for start in starts.values()) + purged,
    )


def _structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    for (report,) in connection.execute(f"PRAGMA integrity_check({MOST_DAMAGES})"):
        if report != "ok":
            yield Finding(kind=Kind.DAMAGED, text=str(report))
    for kind, name in connection.execute(_FOREIGN_OBJECTS):
        text = f"a {kind} {name!r}, which TradeRecon does not create: it changes what is written from now on, or read"
        yield Finding(kind=Kind.CHANGED, table="sqlite_master", text=text)


def _check_starts(starts: Mapping[TopicPartition, ChainStart], checkpoints: CheckpointSet) -> Iterator[Finding]:
    """Where rows were purged, a checkpoint published before the purge must have the same start of the chain."""
    for tp, start in starts.items():
        published = {
            (checkpoint.next_offset, checkpoint.head, checkpoint.rows) for checkpoint in checkpoints.chains.get(tp, ())
        }
        if (start.next_offset, start.head, start.rows) not in published:
            text = (
                f"its first {start.rows} rows are gone, but no checkpoint has the head of the chain at offset "
                f"{start.next_offset}: a purge publishes one first. Compare with another copy of the checkpoints"
            )
            yield Finding(
                kind=Kind.CHECKPOINT,
                table="chain_starts",
                topic=tp[0],
                partition=tp[1],
                offset=start.next_offset,
                text=text,
            )


def _in_table(checkpoints: CheckpointSet, chained: ChainedTable) -> dict[TopicPartition, Sequence[Checkpoint]]:
    """The checkpoints of the chains in this table."""
    return {tp: chain for tp, chain in checkpoints.chains.items() if tp[0] in chained.topics}


def _check_offsets(
    names: Topics, walks: Mapping[str, Walk], offsets: Mapping[tuple[Any, Any], tuple[Any, Any]]
) -> Iterator[Finding]:
    by_table: dict[str, dict[TopicPartition, tuple[Any, Any]]] = {table: {} for table in walks}
    for (topic, partition), (next_offset, head) in offsets.items():
        if not isinstance(topic, str) or type(partition) is not int:
            text = "its topic or partition has the wrong type"
            yield Finding(kind=Kind.CHANGED, table="sink_offsets", topic=topic, partition=partition, text=text)
        elif (table := table_of(names, topic)) is not None:
            by_table[table][topic, partition] = next_offset, head
        elif topic not in chainless_topics(names):
            text = f"the sink does not read a topic {topic}"
            yield Finding(kind=Kind.HEAD, table="sink_offsets", topic=topic, partition=partition, text=text)
        elif head != START or type(next_offset) is not int:
            text = f"{topic} has no chain, but this row has a head, or no valid offset"
            yield Finding(kind=Kind.HEAD, table="sink_offsets", topic=topic, partition=partition, text=text)
    for table, walk in walks.items():
        yield from check_ends(walk, by_table[table])


def _states(
    walks: Mapping[str, Walk], offsets: Mapping[TopicPartition, tuple[Any, Any]], checkpoints: CheckpointSet
) -> list[ChainState]:
    last = {tp: chain[-1].at for tp, chain in checkpoints.chains.items() if chain}
    states = []
    for walk in walks.values():
        for tp, chain in sorted(walk.chains.items()):
            next_offset = offsets[tp][0] if tp in offsets else None
            states.append(ChainState(*tp, chain.rows, next_offset, chain.head, last.get(tp)))
    return states


def _check_trades(connection: sqlite3.Connection, findings: Findings) -> Iterator[int]:
    """Check every trade against its rows in the other tables; yields the number of results of each."""
    results = _SortedRows("results", ResultColumns._fields, connection.execute(_RESULTS))
    breaks = _SortedRows("breaks", BreakColumns._fields, connection.execute(_BREAKS))
    events = 0
    with closing(connection.execute(_TRADES)) as rows:
        for trade_id, group in groupby(rows, key=lambda row: row[0]):
            history = [*group]
            try:
                expected = project([HistoryEntry(*row[:4]) for row in history])
            except (ValueError, ArithmeticError, OtherFormat) as error:
                text = f"the rows derived from it cannot be computed: {error}"
                where: dict[str, Any] = {"table": "result_history", "row": history[0][4], "trade_id": trade_id}
                findings.add([Finding(kind=Kind.DERIVED, text=text, **where)])
                continue
            if findings.in_rows == 0:  # a changed result is already found by its link
                findings.add(_check_event_ids(trade_id, history))
            findings.add(results.compare(trade_id, expected.result))
            findings.add(breaks.compare(trade_id, expected.break_row))
            findings.add(_check_events(connection, expected))
            events += len(expected.events)
            yield len(history)
    findings.add(results.compare_rest())
    findings.add(breaks.compare_rest())
    # Events of existing breaks were compared above: any others belong to no break.
    [(stored,)] = connection.execute("SELECT count(*) FROM break_events")
    if stored != events:
        text = f"{stored} rows, but by the history there are {events}"
        findings.add([Finding(kind=Kind.DERIVED, table="break_events", text=text)])


def _check_event_ids(trade_id: Any, history: Iterable[tuple[Any, ...]]) -> Iterator[Finding]:
    """Each result's event id must follow from its legs, checks, verdict and rules."""
    for row in history:
        try:
            valid = claim_of(json.loads(bytes_of(row[3]))) is not None
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            valid = False
        if not valid:
            text = "its event id does not follow from its legs, checks, verdict and rules"
            yield Finding(kind=Kind.CHANGED, table="result_history", row=row[4], trade_id=trade_id, text=text)


def _check_events(connection: sqlite3.Connection, expected: Projection) -> Iterator[Finding]:
    if expected.break_row is None:
        return
    derived = {row.version: row for row in expected.events}
    stored = {row[1]: row for row in connection.execute(_EVENTS, (expected.break_row.break_id,))}
    for version in sorted({*derived, *stored}, key=repr):
        yield from _differences(
            "break_events",
            BreakEventColumns._fields,
            expected.result.trade_id,
            derived.get(version),
            stored.get(version),
        )


class _SortedRows:
    """The rows of a table in the order of their trades, read in step with the history."""

    def __init__(self, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
        self._table, self._columns, self._key = table, columns, columns.index("trade_id")
        self._rows = rows
        self._next = next(self._rows, None)

    def compare(self, trade_id: Any, expected: tuple[Any, ...] | None) -> Iterator[Finding]:
        """Compare the trade's row with the expected one; rows of earlier trades have no history."""
        key = bytes_of(trade_id)
        while self._next is not None and bytes_of(self._next[self._key]) < key:
            yield from self._without_history()
        stored = None
        if self._next is not None and bytes_of(self._next[self._key]) == key:
            stored = self._pop()
        yield from _differences(self._table, self._columns, trade_id, expected, stored)

    def compare_rest(self) -> Iterator[Finding]:
        """Report the rows after the last trade."""
        while self._next is not None:
            yield from self._without_history()

    def _without_history(self) -> Iterator[Finding]:
        row = self._pop()
        yield from _differences(self._table, self._columns, row[self._key], None, row)

    def _pop(self) -> Any:
        row = self._next
        self._next = next(self._rows, None)
        return row


def _differences(
    table: str,
    columns: tuple[str, ...],
    trade_id: Any,
    expected: tuple[Any, ...] | None,
    stored: tuple[Any, ...] | None,
) -> Iterator[Finding]:
    if expected == stored:
        return
    if expected is None:
        text = "no result in the history leads to this row"
    elif stored is None:
        text = "its row is missing, but the history leads to one"
    else:
        text = "; ".join(
            f"{name} is {cell!r}, but by the history it is {derived!r}"
            for name, cell, derived in zip(columns, stored, expected, strict=True)
            if cell != derived
        )
    yield Finding(kind=Kind.DERIVED, table=table, trade_id=trade_id, text=text)
