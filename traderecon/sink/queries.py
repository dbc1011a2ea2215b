"""Read-only queries of the database, as frozen values.

Texts are as stored: amounts exact decimals, times ISO 8601 UTC; lists are tuples of codes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, Table, and_, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from traderecon.records import State
from traderecon.records.business_time import Calendar
from traderecon.records.numbers import EXACT, ZERO
from traderecon.records.partition_status import decode_oldest, decode_pending
from traderecon.sink.database import open_engine, reader_engine
from traderecon.sink.filters import Filter
from traderecon.sink.query_parts import (
    columns_of,
    is_open,
    names_trade,
    query_parts,
    select_rows,
    severity_now,
    trade_severity_now,
)
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
    sent_ids,
    sink_offsets,
    standings,
)

UNREADABLE = (DBAPIError, PoolTimeout)
"""What a query raises if the database does not answer, or no connection is free."""

BATCH_ROWS = 1_000
"""A stream reads and yields this many rows at a time."""
MOST_SORTED = 1_000_000
"""Most rows of a stream in an order that may change while it is read: their ids are in memory until it ends."""
MOST_SHOWN = 50
"""Most results of one trade, and events of its break, that are read at once: a result may have 800 kB."""


AnyRow = TypeVar("AnyRow", bound=Struct)


class TooManyRows(Exception):
    """More than ``MOST_SORTED`` rows in an order other than that of their keys."""


class Queries:
    """Reads the database of ``engine``; the calls block. Every read is one short transaction.

    ``calendar``: breaks age in its business time; None: all the time.

    A stream is many of them: between two pages it holds neither a transaction nor a connection.
    """

    def __init__(self, engine: Engine, calendar: Calendar | None = None) -> None:
        self.engine, self.calendar = engine, calendar

    @classmethod
    def open(cls, url: str, calendar: Calendar | None = None) -> Self:
        """Open ``sqlite:///path`` with read-only connections. StoreError: it cannot be used, and why."""
        return cls(reader_engine(open_engine(url)), calendar)

    def with_own_connections(self, connections: int) -> "Queries":
        """The same database with a connection pool of its own of this size."""
        return Queries(reader_engine(self.engine, connections), self.calendar)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self.engine.dispose()

    def ping(self) -> None:
        """Read one row; raises one of ``UNREADABLE`` if the database cannot be read."""
        self._all(select(sink_offsets.c.topic).limit(1))

    def states(self) -> dict[State, int]:
        """The number of trades in each state; PENDING from the latest partition statuses."""
        counts = dict.fromkeys(State, 0)
        for state, number in self._all(select(results.c.state, func.count()).group_by(results.c.state)):
            counts[State(state)] = number
        counts[State.PENDING] = sum(sum(status.pending.values()) for status in self.partition_statuses())
        return counts

    def open_breaks(self) -> OpenBreaks:
        """Open breaks by reason and by severity."""
        by = (breaks.c.reasons, severity_now())
        severities: Counter[str] = Counter()
        reasons: Counter[tuple[str, str]] = Counter()
        for codes, severity, number in self._all(select(*by, func.count()).where(is_open()).group_by(*by)):
            severities[severity] += number
            for code in _codes(codes):
                reasons[code, severity] += number
        return OpenBreaks(severities.total(), severities, reasons)

    def stakes(self) -> dict[tuple[str, str], Decimal]:
        """The money at stake in open breaks, exact, per currency ("": none was sent) and severity.

        Infinite if the database has something else than an amount: what is unknown must alarm.
        """
        totals: dict[tuple[str, str], Decimal] = {}
        rows = self._all(select(breaks.c.currency, severity_now(), breaks.c.at_stake).where(is_open()))
        for currency, severity, stake in rows:
            key = (currency or "", severity)
            try:
                totals[key] = EXACT.add(totals.get(key, ZERO), Decimal(stake or "0"))
            except ArithmeticError:
                totals[key] = Decimal("Infinity")
        return totals

    def opened_at(self) -> list[tuple[str, int]]:
        """The seconds in which open breaks were opened (``2025-07-26T10:01:23``), and how many in each."""
        second = func.substr(breaks.c.opened_at, 1, 19)
        query = select(second, func.count()).where(is_open()).group_by(second)
        return [(opened_at, number) for opened_at, number in self._all(query)]

    def dead_letter_codes(self) -> Counter[str]:
        """Dead letters by code."""
        code = dead_letters.c.code
        return Counter(dict(map(tuple, self._all(select(code, func.count()).group_by(code)))))

    def last_result_at(self) -> str | None:
        """When the newest row of the history was decided."""
        newest = select(result_history.c.decided_at).order_by(result_history.c.id.desc()).limit(1)
        return next((decided_at for (decided_at,) in self._all(newest)), None)

    def partition_statuses(self) -> list[PartitionStatusRow]:
        """The status of every journal partition."""
        return self._table(PartitionStatusRow, standings, standings.c.partition)

    def beginnings(self) -> list[BeginningRow]:
        """The partitions that are not complete from their first message on."""
        return self._table(BeginningRow, beginnings, beginnings.c.topic, beginnings.c.partition)

    def offsets(self) -> list[OffsetRow]:
        """Every partition the sink reads."""
        return self._table(OffsetRow, sink_offsets, sink_offsets.c.topic, sink_offsets.c.partition)

    def ledger(self) -> list[LedgerRow]:
        """The disposition of the offsets of inputs and journal, per partition."""
        return self._table(LedgerRow, ledger, ledger.c.topic, ledger.c.partition)

    def unaccounted(self) -> int:
        """The number of these offsets whose disposition is unknown; normally 0."""
        # Not summed by SQLite: an overflow there is an error, and numbers of an earlier version may be that large.
        return sum(unaccounted for (unaccounted,) in self._all(select(ledger.c.unaccounted)))

    def count(self, wanted: Filter) -> int:
        """The number of rows that match a filter."""
        table, _, conditions, _ = query_parts(wanted)
        return int(self._all(select(func.count()).select_from(table).where(*conditions))[0][0])

    def rows(self, wanted: Filter, *, limit: int, offset: int = 0) -> list[Struct]:
        """One page of a list."""
        table, row_type, conditions, order = query_parts(wanted)
        page = select_rows(row_type, table).where(*conditions).order_by(*order).limit(limit).offset(offset)
        return [_decode_row(row_type, row) for row in self._all(page)]

    def stream(self, wanted: Filter) -> Iterator[list[Struct]]:
        """All rows of a list, a page at a time.

        A row that matches from the first page until its own page is read appears exactly once, with its values as of
        its page. A row that starts or ceases to match meanwhile may be missing. TooManyRows.
        """
        table, row_type, conditions, order = query_parts(wanted)
        columns, key = select_rows(row_type, table), dead_letters.c.id if table is dead_letters else table.c.trade_id
        if len(order) == 1:
            pages = self._pages_by_key(columns.where(*conditions), key, descending=table is dead_letters)
        else:
            pages = self._pages_by_ids(columns, key, conditions, order)
        for rows in pages:
            yield [_decode_row(row_type, row) for row in rows]

    def newest_results(self) -> Iterator[list[tuple[str, str | None]]]:
        """The newest result of every trade as JSON, and its severity as it is now, a page at a time.

        They are by trade_id, in the order of its UTF-8 bytes.

        Each trade that had a result when the first page was read appears once, in its version as of its page.
        """
        same = [result_history.c[name] == results.c[name] for name in ("trade_id", "version", "event_id")]
        newest = select(result_history.c.result, trade_severity_now(), results.c.trade_id).select_from(
            results.join(result_history, and_(*same))
        )
        for rows in self._pages_by_key(newest, results.c.trade_id, descending=False):
            yield [(text, severity) for text, severity, _ in rows]

    def trade(self, trade_id: str) -> Trade | None:
        """One trade with its history; None if it has no result."""
        with self.engine.connect() as connection:
            trade = connection.execute(select_rows(TradeRow, results).where(results.c.trade_id == trade_id)).first()
            if trade is None:
                return None
            of_trade = (result_history.c.trade_id == trade_id, result_history.c.content_sha256.is_(None))
            total = connection.execute(select(func.count()).select_from(result_history).where(*of_trade)).scalar_one()
            history = connection.execute(
                columns_of(HistoryRow, result_history)
                .where(*of_trade)
                # Of two results with the same version the first counts, so it must not be cut off.
                .order_by(result_history.c.version.desc(), result_history.c.id)
                .limit(MOST_SHOWN)
            ).all()
            break_ = connection.execute(select_rows(BreakRow, breaks).where(breaks.c.trade_id == trade_id)).first()
            events = (
                connection.execute(
                    columns_of(BreakEventRow, break_events)
                    .where(break_events.c.break_id == break_.break_id)
                    .order_by(break_events.c.version.desc())
                    .limit(MOST_SHOWN)
                ).all()[::-1]
                if break_ is not None
                else []
            )
            rejected = connection.execute(
                columns_of(DeadLetterRow, dead_letters)
                .where(names_trade(literal(trade_id)))
                .order_by(dead_letters.c.id.desc())
                .limit(MOST_SHOWN)
            ).all()
        return Trade(
            _decode_row(TradeRow, trade),
            tuple(_decode_row(HistoryRow, row) for row in history),
            None if break_ is None else _decode_row(BreakRow, break_),
            tuple(_decode_row(BreakEventRow, row) for row in events),
            total,
            tuple(_decode_row(DeadLetterRow, row) for row in rejected),
        )

    def trades_with(self, sent_id: str) -> list[str]:
        """The trades that have a record with this trade_id, and another id: in order, some of very many."""
        columns = sent_ids.c
        query = select(columns.trade_id).where(columns.sent_id == sent_id).order_by(columns.trade_id)
        return [trade_id for (trade_id,) in self._all(query.limit(MOST_SHOWN))]

    def _table(self, row_type: type[AnyRow], table: Table, *order: Any) -> list[AnyRow]:
        return [_decode_row(row_type, row) for row in self._all(columns_of(row_type, table).order_by(*order))]

    def _all(self, statement: Select[Any]) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(statement).all()

    def _pages_by_key(self, statement: Select[Any], key: Any, *, descending: bool) -> Iterator[Sequence[Any]]:
        """Pages in the order of an immutable key: each page starts after the last key of the previous one."""
        page = statement.order_by(key.desc() if descending else key).limit(BATCH_ROWS)
        rows = self._all(page)
        while rows:
            yield rows
            if len(rows) < BATCH_ROWS:
                return
            last = getattr(rows[-1], key.name)
            rows = self._all(page.where(key < last if descending else key > last))

    def _pages_by_ids(
        self, columns: Select[Any], key: Any, conditions: list[ColumnElement[bool]], order: list[Any]
    ) -> Iterator[Sequence[Any]]:
        """Pages in an order that may change between two reads: all ids are read first, then the rows by id."""
        ids = self._all(select(key).where(*conditions).order_by(*order).limit(MOST_SORTED + 1))
        if len(ids) > MOST_SORTED:
            raise TooManyRows
        packed_pages = [  # the bytes of a page take far less memory than the rows
            msgspec.msgpack.encode([row_id for (row_id,) in ids[first : first + BATCH_ROWS]])
            for first in range(0, len(ids), BATCH_ROWS)
        ]
        del ids
        for packed in packed_pages:
            page = msgspec.msgpack.decode(packed, type=list[Any])
            rows = {getattr(row, key.name): row for row in self._all(columns.where(key.in_(page), *conditions))}
            yield [rows[row_id] for row_id in page if row_id in rows]


_decode_codes = msgspec.json.Decoder(tuple[str, ...]).decode


@cache
def _codes(text: str) -> tuple[str, ...]:
    return _decode_codes(text)


_JSON_DECODERS: dict[str, Callable[[str], Any]] = {
    "reasons": _codes,
    "hints": _codes,
    "rejections": lambda text: tuple(sorted(_codes(text))),
    "pending": decode_pending,
    "oldest": decode_oldest,
}
"""By the name of a column that holds JSON."""


def _decode_row(row_type: type[AnyRow], row: Sequence[Any]) -> AnyRow:
    return row_type(
        *(
            _JSON_DECODERS[name](value) if name in _JSON_DECODERS else value
            for name, value in zip(row_type.__struct_fields__, row, strict=True)
        )
    )
