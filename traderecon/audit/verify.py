"""Verify: every row of the database against the chains, the heads, the checkpoints and the history it follows from.

    examine(connection, checkpoints) -> Examined(intact, rows, chains, findings)

Three passes, each a stream: the file's own structure; the chains, in the order of the rows; the trades, in the order
of their ids. Memory holds a row of each chain, one trade, and the checkpoints.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from typing import Any

import msgspec

from traderecon.audit.chains import Walk, ended
from traderecon.audit.checkpoint_files import Known
from traderecon.audit.claims import claim_of
from traderecon.audit.database import beginnings, bytes_of, chain_starts
from traderecon.audit.findings import Finding, Findings, Kind
from traderecon.audit.links import CHAINED, CHAINLESS, HISTORY, table_of
from traderecon.records.checkpoint import Checkpoint, Place
from traderecon.records.formats import OtherFormat
from traderecon.sink.break_projection import BREAKS, EVENTS, RESULTS, History, Projection, project
from traderecon.sink.chain import START
from traderecon.sink.purge import ChainStart

DAMAGES = 20
"""So many faults of the file's structure are told."""

_NOT_OURS = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name"
_TRADES = (
    "SELECT trade_id, version, decided_at, result, id FROM result_history "
    "WHERE content_sha256 IS NULL ORDER BY trade_id, version, id"
)
_EVENTS = f"SELECT {', '.join(EVENTS)} FROM break_events WHERE break_id = ? ORDER BY version"  # noqa: S608  # our names
_RESULTS = f"SELECT {', '.join(RESULTS)} FROM results ORDER BY trade_id"  # noqa: S608  # the same
_BREAKS = f"SELECT {', '.join(BREAKS)} FROM breaks ORDER BY trade_id"  # noqa: S608  # the same
_OFFSETS = "SELECT topic, partition, next_offset, head FROM sink_offsets"


class ChainState(msgspec.Struct, frozen=True):
    """A chain at its end: how many rows, where the sink reads on, its head; ``checkpoint``: when it was told last."""

    topic: str
    partition: int
    rows: int
    next_offset: Any
    head: str
    checkpoint: str | None


class Beginning(msgspec.Struct, frozen=True):
    """A partition whose history in this database does not begin with its first message; ``complete_from``: ISO 8601."""

    topic: str
    partition: int
    first_offset: int
    complete_from: str


class Examined(msgspec.Struct, frozen=True):
    """What a look came to. ``found`` counts findings, ``findings`` has the first of them.

    ``beginnings``: partitions that are not complete from their first message on; ``purged``: rows of which only links
    are left, or nothing but where their chain had come to.
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
    checkpoints: Known,
    advance: Callable[[int], None] = lambda rows: None,
    beforehand: Iterable[Finding] = (),
) -> Examined:
    """Look at everything, within the connection's transaction; ``advance`` hears of every row, twice of a result.

    ``beforehand``: what was found among the checkpoints themselves. Texts must come by ``audit.database.text``. Event
    ids are computed anew where nothing was found up to then: what is found already need not be found twice.
    """
    findings = Findings()
    findings.add(beforehand)
    begun = beginnings(connection)
    checkpoints = checkpoints.of({place: offset for place, (offset, _) in begun.items()})
    starts = chain_starts(connection)
    walks = {
        one.table: Walk(one.table, _share(checkpoints, one.table), starts if one.table == HISTORY else {})
        for one in CHAINED
    }
    offsets: dict[Place, tuple[Any, Any]] = {}
    trades = purged = 0
    try:
        findings.add(_structure(connection))
        findings.add(_starts(starts, checkpoints))
        offsets = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(_OFFSETS)}
        for one in CHAINED:
            counted: Counter[str] = Counter()
            with closing(connection.execute(one.question)) as rows:
                for row in rows:
                    link = one.link(row)
                    findings.add(walks[one.table].step(link))
                    purged += link.digest is not None
                    findings.add(one.columns(link, row, counted))
                    advance(1)
        findings.add(_ends(walks, offsets))
        for count in _trades(connection, findings):
            trades += 1
            advance(count)
    except sqlite3.DatabaseError as error:
        findings.add([Finding(kind=Kind.DAMAGED, text=f"the file cannot be read on: {error}")])
    return Examined(
        findings.count == 0,
        sum(chain.rows for walk in walks.values() for chain in walk.chains.values()),
        trades,
        checkpoints.count,
        _states(walks, offsets, checkpoints),
        findings.count,
        findings.kept,
        [Beginning(*place, *since) for place, since in begun.items()],
        sum(start.rows for start in starts.values()) + purged,
    )


def _structure(connection: sqlite3.Connection) -> Iterator[Finding]:
    for (said,) in connection.execute(f"PRAGMA integrity_check({DAMAGES})"):
        if said != "ok":
            yield Finding(kind=Kind.DAMAGED, text=str(said))
    for kind, name in connection.execute(_NOT_OURS):
        text = f"a {kind} {name!r}, and we make none: it changes what is written from now on, or what is read"
        yield Finding(kind=Kind.CHANGED, table="sqlite_master", text=text)


def _starts(starts: Mapping[Place, ChainStart], checkpoints: Known) -> Iterator[Finding]:
    """Where rows were purged, the checkpoint that was published before they went says what the chain had come to."""
    for place, start in starts.items():
        said = {(one.next_offset, one.head, one.rows) for one in checkpoints.chains.get(place, ())}
        if (start.next_offset, start.head, start.rows) not in said:
            text = (
                f"its first {start.rows} rows are gone, and no checkpoint says what the chain had come to at offset "
                f"{start.next_offset}: a purge publishes one first. Compare with another copy of the checkpoints"
            )
            yield Finding(
                kind=Kind.CHECKPOINT,
                table="chain_starts",
                topic=place[0],
                partition=place[1],
                offset=start.next_offset,
                text=text,
            )


def _share(checkpoints: Known, table: str) -> dict[Place, Sequence[Checkpoint]]:
    """The checkpoints of the chains that lie in this table."""
    return {place: told for place, told in checkpoints.chains.items() if table_of(place[0]) == table}


def _ends(walks: Mapping[str, Walk], offsets: Mapping[tuple[Any, Any], tuple[Any, Any]]) -> Iterator[Finding]:
    shares: dict[str, dict[Place, tuple[Any, Any]]] = {table: {} for table in walks}
    for (topic, partition), found in offsets.items():
        if not isinstance(topic, str) or type(partition) is not int:
            text = "its topic or partition is none"
            yield Finding(kind=Kind.CHANGED, table="sink_offsets", topic=topic, partition=partition, text=text)
        elif (table := table_of(topic)) is not None:
            shares[table][topic, partition] = found
        elif found[1] != START or type(found[0]) is not int or not topic.endswith(CHAINLESS):
            text = f"{topic} has no chain, and here is a head, or no offset, or it is no topic of ours"
            yield Finding(kind=Kind.HEAD, table="sink_offsets", topic=topic, partition=partition, text=text)
    for table, walk in walks.items():
        yield from ended(walk, shares[table])


def _states(
    walks: Mapping[str, Walk], offsets: Mapping[Place, tuple[Any, Any]], checkpoints: Known
) -> list[ChainState]:
    told = {place: chain[-1].at for place, chain in checkpoints.chains.items() if chain}
    states = []
    for walk in walks.values():
        for place, chain in sorted(walk.chains.items()):
            next_offset = offsets[place][0] if place in offsets else None
            states.append(ChainState(*place, chain.rows, next_offset, chain.head, told.get(place)))
    return states


def _trades(connection: sqlite3.Connection, findings: Findings) -> Iterator[int]:
    """Every trade against its rows in the other tables; gives how many results it has."""
    results = _Beside("results", RESULTS, connection.execute(_RESULTS))
    breaks = _Beside("breaks", BREAKS, connection.execute(_BREAKS))
    events = 0
    with closing(connection.execute(_TRADES)) as rows:
        for trade_id, found in groupby(rows, key=lambda row: row[0]):
            history = [*found]
            try:
                expected = project([History(*row[:4]) for row in history])
            except (ValueError, ArithmeticError, OtherFormat) as error:
                text = f"what it comes to cannot be told: {error}"
                where: dict[str, Any] = {"table": "result_history", "row": history[0][4], "trade_id": trade_id}
                findings.add([Finding(kind=Kind.DERIVED, text=text, **where)])
                continue
            if findings.in_rows == 0:  # what is found already need not be found twice
                findings.add(_event_ids(trade_id, history))
            findings.add(results.compared(trade_id, expected.result))
            findings.add(breaks.compared(trade_id, expected.break_row))
            findings.add(_moved(connection, expected))
            events += len(expected.events)
            yield len(history)
    findings.add(results.rest())
    findings.add(breaks.rest())
    # Those that belong to a break were compared with it: what is left over belongs to none.
    [(there,)] = connection.execute("SELECT count(*) FROM break_events")
    if there != events:
        text = f"{there} rows, and the history makes {events}"
        findings.add([Finding(kind=Kind.DERIVED, table="break_events", text=text)])


def _event_ids(trade_id: Any, history: Iterable[tuple[Any, ...]]) -> Iterator[Finding]:
    """Each result's event id must follow from its legs, checks, verdict and rules."""
    for row in history:
        try:
            holds = claim_of(json.loads(bytes_of(row[3]))) is not None
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            holds = False
        if not holds:
            text = "its event id does not follow from its legs, checks, verdict and rules"
            yield Finding(kind=Kind.CHANGED, table="result_history", row=row[4], trade_id=trade_id, text=text)


def _moved(connection: sqlite3.Connection, expected: Projection) -> Iterator[Finding]:
    if expected.break_row is None:
        return
    found = connection.execute(_EVENTS, (expected.break_row[0],)).fetchall()
    wanted = {row[1]: tuple(row) for row in expected.events}
    there = {row[1]: row for row in found}
    for version in sorted({*wanted, *there}, key=repr):
        yield from _differing("break_events", EVENTS, expected.result[0], wanted.get(version), there.get(version))


class _Beside:
    """The rows of a table in the order of the trades, read along with them."""

    def __init__(self, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
        self._table, self._columns, self._key = table, columns, columns.index("trade_id")
        self._rows = rows
        self._next = next(self._rows, None)

    def compared(self, trade_id: Any, expected: tuple[Any, ...] | None) -> Iterator[Finding]:
        """The trade's row against what it should be; rows of trades before it belong to nobody."""
        wanted = bytes_of(trade_id)
        while self._next is not None and bytes_of(self._next[self._key]) < wanted:
            yield from _differing(self._table, self._columns, self._next[self._key], None, self._taken())
        found = None
        if self._next is not None and bytes_of(self._next[self._key]) == wanted:
            found = self._taken()
        yield from _differing(self._table, self._columns, trade_id, expected, found)

    def rest(self) -> Iterator[Finding]:
        """What is behind the last trade."""
        while self._next is not None:
            yield from _differing(self._table, self._columns, self._next[self._key], None, self._taken())

    def _taken(self) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._next
        self._next = next(self._rows, None)
        return row


def _differing(
    table: str, columns: tuple[str, ...], trade_id: Any, expected: tuple[Any, ...] | None, found: tuple[Any, ...] | None
) -> Iterator[Finding]:
    if expected == found:
        return
    if expected is None:
        text = "no result of the history makes this row"
    elif found is None:
        text = "its row is missing, and the history makes one"
    else:
        told = [
            f"{name} is {is_!r}, and the history makes it {wanted!r}"
            for name, is_, wanted in zip(columns, found, expected, strict=True)
            if is_ != wanted
        ]
        text = "; ".join(told)
    yield Finding(kind=Kind.DERIVED, table=table, trade_id=trade_id, text=text)
