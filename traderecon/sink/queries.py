"""Queries: what the pages read of the database, as frozen values. Nothing here writes.

Texts are as they are stored: amounts exact decimals, times ISO 8601 UTC; lists are tuples of codes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Engine, Numeric, Select, Table, and_, case, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from traderecon.records import Severity, State
from traderecon.records.partition_status import WaitingTrade
from traderecon.sink.database import opened, readers
from traderecon.sink.dead_letter_queries import dead_letter_columns, dead_letter_state
from traderecon.sink.filters import BreakFilter, BreakSort, DeadLetterFilter, Filter, Status, TradeFilter, TradeSort
from traderecon.sink.rows import (
    BeginningRow,
    BreakEventRow,
    BreakRow,
    DeadLetterRow,
    HistoryRow,
    LedgerRow,
    OffsetRow,
    OpenBreaks,
    PartitionStatusRow,
    Struct,
    Trade,
    TradeRow,
)
from traderecon.sink.schema import (
    beginnings,
    break_events,
    breaks,
    dead_letters,
    ledger,
    result_history,
    results,
    sink_offsets,
    standings,
)

UNREADABLE = (DBAPIError, PoolTimeout)
"""What a query raises where the database does not answer, or has no connection left."""

OPEN = ("OPEN", "REOPENED")
BATCH_ROWS = 1_000
"""A stream reads, and gives, this many rows at a time."""
MOST_SORTED = 1_000_000
"""Rows that a stream gives in an order that may change while it is read: their ids are kept until it has ended."""
MOST_SHOWN = 50
"""Results of one trade, and events of its break, that are read at once: each result may have 800 kB."""

_LAST = "\U0010ffff"


AnyRow = TypeVar("AnyRow", bound=Struct)


class TooManyRows(Exception):
    """More than ``MOST_SORTED`` rows in an order other than that of their keys."""


class Queries:
    """Reads the database of ``engine``, for a thread of its own; every read is one short transaction.

    A stream is many of them: between two of its pages neither a transaction nor a connection is held.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Open ``sqlite:///path`` with connections that cannot write; StoreError says what is in the way."""
        return cls(readers(opened(url)))

    def apart(self, connections: int) -> "Queries":
        """The same database on so many connections of its own, so that who uses them takes none from others."""
        return Queries(readers(self.engine, connections))

    def close(self) -> None:
        """Close every connection. A second time does nothing."""
        self.engine.dispose()

    def reach(self) -> None:
        """Do nothing but ask the database; raises one of ``UNREADABLE`` where it cannot be read."""
        self._all(select(sink_offsets.c.topic).limit(1))

    def states(self) -> dict[State, int]:
        """Trades by state, every state with its count; PENDING from what matching last said."""
        counts = dict.fromkeys(State, 0)
        for state, number in self._all(select(results.c.state, func.count()).group_by(results.c.state)):
            counts[State(state)] = number
        counts[State.PENDING] = sum(sum(standing.pending.values()) for standing in self.standings())
        return counts

    def open_breaks(self) -> OpenBreaks:
        """Open breaks by reason and by severity."""
        by = (breaks.c.reasons, breaks.c.severity)
        severities: Counter[str] = Counter()
        reasons: Counter[tuple[str, str]] = Counter()
        for codes, severity, number in self._all(select(*by, func.count()).where(_is_open()).group_by(*by)):
            severities[severity] += number
            for code in _codes(codes):
                reasons[code, severity] += number
        return OpenBreaks(severities.total(), severities, reasons)

    def opened_at(self) -> list[tuple[str, int]]:
        """When open breaks were opened, to the second (``2025-07-26T10:01:23``), and how many in each."""
        second = func.substr(breaks.c.opened_at, 1, 19)
        return [
            (at, number) for at, number in self._all(select(second, func.count()).where(_is_open()).group_by(second))
        ]

    def dead_letter_codes(self) -> Counter[str]:
        """Dead letters by code."""
        code = dead_letters.c.code
        return Counter(dict(map(tuple, self._all(select(code, func.count()).group_by(code)))))

    def last_result_at(self) -> str | None:
        """When the newest row of the history was decided."""
        newest = select(result_history.c.decided_at).order_by(result_history.c.id.desc()).limit(1)
        return next((at for (at,) in self._all(newest)), None)

    def standings(self) -> list[PartitionStatusRow]:
        """Every partition of the journal."""
        return [
            _read(PartitionStatusRow, row)
            for row in self._all(_of(PartitionStatusRow, standings).order_by("partition"))
        ]

    def beginnings(self) -> list[BeginningRow]:
        """The partitions that are not complete from their first message on."""
        order = (beginnings.c.topic, beginnings.c.partition)
        return [_read(BeginningRow, row) for row in self._all(_of(BeginningRow, beginnings).order_by(*order))]

    def offsets(self) -> list[OffsetRow]:
        """Every partition the sink reads."""
        order = (sink_offsets.c.topic, sink_offsets.c.partition)
        return [_read(OffsetRow, row) for row in self._all(_of(OffsetRow, sink_offsets).order_by(*order))]

    def ledger(self) -> list[LedgerRow]:
        """What became of the offsets of inputs and journal, partition by partition."""
        order = (ledger.c.topic, ledger.c.partition)
        return [_read(LedgerRow, row) for row in self._all(_of(LedgerRow, ledger).order_by(*order))]

    def unaccounted(self) -> int:
        """How many of these offsets nobody has told of; in health 0."""
        return int(self._all(select(func.coalesce(func.sum(ledger.c.unaccounted), 0)))[0][0])

    def count(self, wanted: Filter) -> int:
        """How many rows a filter lets through."""
        table, _, conditions, _ = _wanted(wanted)
        return int(self._all(select(func.count()).select_from(table).where(*conditions))[0][0])

    def rows(self, wanted: Filter, *, limit: int, offset: int = 0) -> list[Struct]:
        """One page of a list."""
        table, kind, conditions, order = _wanted(wanted)
        page = _of(kind, table).where(*conditions).order_by(*order).limit(limit).offset(offset)
        return [_read(kind, row) for row in self._all(page)]

    def stream(self, wanted: Filter) -> Iterator[list[Struct]]:
        """All rows of a list, a page at a time.

        A row that the filter lets through from the first page to its own is there exactly once, as it is when its
        page is read. One that comes to fit or ceases to fit meanwhile may be missing. TooManyRows.
        """
        table, kind, conditions, order = _wanted(wanted)
        columns, key = _of(kind, table), dead_letters.c.id if table is dead_letters else table.c.trade_id
        if len(order) == 1:
            pages = self._following(columns.where(*conditions), key, descending=table is dead_letters)
        else:
            pages = self._listed(columns, key, conditions, order)
        for rows in pages:
            yield [_read(kind, row) for row in rows]

    def newest_results(self) -> Iterator[list[str]]:
        """The newest result of every trade as JSON, by trade_id (in the order of its UTF-8 bytes), a page at a time.

        Each trade that had a result when the first page was read is there once, in the version of its page's read.
        """
        same = [result_history.c[name] == results.c[name] for name in ("trade_id", "version", "event_id")]
        newest = select(result_history.c.result, results.c.trade_id).select_from(
            results.join(result_history, and_(*same))
        )
        for rows in self._following(newest, results.c.trade_id, descending=False):
            yield [text for text, _ in rows]

    def trade(self, trade_id: str) -> Trade | None:
        """One trade with its history; None where nothing is known of it."""
        with self.engine.connect() as connection:
            found = connection.execute(_of(TradeRow, results).where(results.c.trade_id == trade_id)).first()
            if found is None:
                return None
            ours = (result_history.c.trade_id == trade_id, result_history.c.content_sha256.is_(None))
            results_ = connection.execute(select(func.count()).select_from(result_history).where(*ours)).scalar_one()
            history = connection.execute(
                _of(HistoryRow, result_history)
                .where(*ours)
                # Of two with one version the first counts, and must be among them.
                .order_by(result_history.c.version.desc(), result_history.c.id)
                .limit(MOST_SHOWN)
            ).all()
            broken = connection.execute(_of(BreakRow, breaks).where(breaks.c.trade_id == trade_id)).first()
            moved = (
                connection.execute(
                    _of(BreakEventRow, break_events)
                    .where(break_events.c.break_id == broken.break_id)
                    .order_by(break_events.c.version.desc())
                    .limit(MOST_SHOWN)
                ).all()[::-1]
                if broken is not None
                else []
            )
        return Trade(
            _read(TradeRow, found),
            tuple(_read(HistoryRow, row) for row in history),
            None if broken is None else _read(BreakRow, broken),
            tuple(_read(BreakEventRow, row) for row in moved),
            results_,
        )

    def _all(self, statement: Select[Any]) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(statement).all()

    def _following(self, statement: Select[Any], key: Any, *, descending: bool) -> Iterator[Sequence[Any]]:
        """Pages in the order of a key that no row ever changes: each begins behind the last row of the one before."""
        page = statement.order_by(key.desc() if descending else key).limit(BATCH_ROWS)
        rows = self._all(page)
        while rows:
            yield rows
            if len(rows) < BATCH_ROWS:
                return
            last = getattr(rows[-1], key.name)
            rows = self._all(page.where(key < last if descending else key > last))

    def _listed(
        self, columns: Select[Any], key: Any, conditions: list[ColumnElement[bool]], order: list[Any]
    ) -> Iterator[Sequence[Any]]:
        """Pages in an order that a row may leave between two reads: the ids are read first, the rows by their ids."""
        ids = self._all(select(key).where(*conditions).order_by(*order).limit(MOST_SORTED + 1))
        if len(ids) > MOST_SORTED:
            raise TooManyRows
        packed = [
            "\n".join(one for (one,) in ids[first : first + BATCH_ROWS]) for first in range(0, len(ids), BATCH_ROWS)
        ]
        del ids
        for page in packed:
            wanted = page.split("\n")  # no id has a control character
            found = {getattr(row, key.name): row for row in self._all(columns.where(key.in_(wanted), *conditions))}
            yield [found[one] for one in wanted if one in found]


def _wanted(wanted: Filter) -> tuple[Table, type[Struct], list[ColumnElement[bool]], list[Any]]:
    match wanted:
        case BreakFilter():
            return breaks, BreakRow, _break_conditions(wanted), _break_order(wanted.sort)
        case TradeFilter():
            return results, TradeRow, _trade_conditions(wanted), _trade_order(wanted.sort)
        case DeadLetterFilter():
            columns = dead_letters.c
            asked = ((columns.code, wanted.code), (columns.source_topic, wanted.topic))
            state = _equal((dead_letter_state(), wanted.state)) if wanted.state else []
            return dead_letters, DeadLetterRow, [*_equal(*asked), *state], [columns.id.desc()]


def _break_conditions(wanted: BreakFilter) -> list[ColumnElement[bool]]:
    columns = breaks.c
    conditions = _equal(
        (columns.severity, wanted.severity), (columns.state, wanted.state), (columns.ticker, wanted.ticker)
    )
    if wanted.status != Status.ALL:
        conditions.append(_is_open() if wanted.status == Status.OPEN else columns.status == "RESOLVED")
    return conditions + _has(columns.reasons, wanted.reason) + _begins(columns.trade_id, wanted.trade_id)


def _trade_conditions(wanted: TradeFilter) -> list[ColumnElement[bool]]:
    columns = results.c
    conditions = _equal((columns.state, wanted.state), (columns.ticker, wanted.ticker))
    if wanted.reason:
        conditions.append(columns.state.in_([state for state in State if state.is_break]))  # others have no reason
    if wanted.date:
        conditions.append(columns.event_time.between(f"{wanted.date}T", f"{wanted.date}U"))
    return conditions + _has(columns.reasons, wanted.reason) + _begins(columns.trade_id, wanted.trade_id)


def _begins(column: Any, prefix: str) -> list[ColumnElement[bool]]:
    """A range in the order of bytes: an index serves it, and case matters."""
    return [column.between(prefix, prefix + _LAST)] if prefix else []


def _is_open() -> ColumnElement[bool]:
    return breaks.c.status.in_(OPEN)


def _equal(*asked: tuple[Any, str]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in asked if value]


def _has(column: Any, code: str) -> list[ColumnElement[bool]]:
    """A JSON list of codes has this one."""
    return [column.contains(f'"{code}"', autoescape=True)] if code else []


def _break_order(sort: str) -> list[Any]:
    columns = breaks.c
    rank = case({severity.value: rank for rank, severity in enumerate(Severity)}, value=columns.severity, else_=99)
    order: dict[str, list[Any]] = {
        BreakSort.SEVERITY: [rank, columns.opened_at],
        BreakSort.OLDEST: [columns.opened_at],
        BreakSort.NEWEST: [columns.opened_at.desc()],
        BreakSort.NOTIONAL: [func.coalesce(columns.notional.cast(Numeric), 0).desc()],
    }
    return [*order.get(sort, []), columns.trade_id]


def _trade_order(sort: str) -> list[Any]:
    columns = results.c
    order: dict[str, list[Any]] = {
        TradeSort.OLDEST: [columns.event_time],
        TradeSort.NEWEST: [columns.event_time.desc()],
    }
    return [*order.get(sort, []), columns.trade_id]


@cache
def _of(kind: type[Struct], table: Table) -> Select[Any]:
    """The columns of a row, in its order."""
    if kind is DeadLetterRow:
        return select(*dead_letter_columns())
    return select(*(table.c[name] for name in kind.__struct_fields__))


_decode = msgspec.json.Decoder(tuple[str, ...]).decode


@cache
def _codes(text: str) -> tuple[str, ...]:
    return _decode(text)


_READ: dict[str, Callable[[str], Any]] = {
    "reasons": _codes,
    "hints": _codes,
    "pending": msgspec.json.Decoder(dict[str, int]).decode,
    "oldest": msgspec.json.Decoder(tuple[WaitingTrade, ...]).decode,
}
"""Columns that hold JSON."""


def _read(kind: type[AnyRow], row: Sequence[Any]) -> AnyRow:
    return kind(
        *(
            _READ[name](value) if name in _READ else value
            for name, value in zip(kind.__struct_fields__, row, strict=True)
        )
    )
