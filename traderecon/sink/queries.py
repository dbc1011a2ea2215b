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
from traderecon.sink.database import opened, readers
from traderecon.sink.filters import BreakFilter, BreakSort, DeadLetterFilter, Filter, Status, TradeFilter, TradeSort
from traderecon.sink.letter_queries import letter_columns, letter_state
from traderecon.sink.rows import (
    BreakEventRow,
    BreakRow,
    DeadLetterRow,
    HistoryRow,
    LedgerRow,
    OffsetRow,
    OpenBreaks,
    StandingRow,
    Struct,
    Trade,
    TradeRow,
    Waiting,
)
from traderecon.sink.schema import (
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
"""A stream gives this many rows at a time."""

_LAST = "\U0010ffff"


AnyRow = TypeVar("AnyRow", bound=Struct)


class Queries:
    """Reads the database of ``engine``; every method is one short transaction, for a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Open ``sqlite:///path`` with connections that cannot write; StoreError says what is in the way."""
        return cls(readers(opened(url)))

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

    def standings(self) -> list[StandingRow]:
        """Every partition of the journal."""
        return [_read(StandingRow, row) for row in self._all(_of(StandingRow, standings).order_by("partition"))]

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
        """All rows of a list, some at a time, as they were when the first was read."""
        table, kind, conditions, order = _wanted(wanted)
        for rows in self._batches(_of(kind, table).where(*conditions).order_by(*order)):
            yield [_read(kind, row) for row in rows]

    def newest_results(self) -> Iterator[list[str]]:
        """The newest result of every trade as JSON, by trade_id (in the order of its UTF-8 bytes), some at a time."""
        same = [result_history.c[name] == results.c[name] for name in ("trade_id", "version", "event_id")]
        newest = results.join(result_history, and_(*same))
        for rows in self._batches(select(result_history.c.result).select_from(newest).order_by(results.c.trade_id)):
            yield [text for (text,) in rows]

    def trade(self, trade_id: str) -> Trade | None:
        """One trade with its history; None where nothing is known of it."""
        with self.engine.connect() as connection:
            found = connection.execute(_of(TradeRow, results).where(results.c.trade_id == trade_id)).first()
            if found is None:
                return None
            history = connection.execute(
                _of(HistoryRow, result_history)
                .where(result_history.c.trade_id == trade_id)
                .order_by(result_history.c.version.desc())
            ).all()
            broken = connection.execute(_of(BreakRow, breaks).where(breaks.c.trade_id == trade_id)).first()
            moved = (
                connection.execute(
                    _of(BreakEventRow, break_events)
                    .where(break_events.c.break_id == broken.break_id)
                    .order_by(break_events.c.version)
                ).all()
                if broken is not None
                else []
            )
        return Trade(
            _read(TradeRow, found),
            tuple(_read(HistoryRow, row) for row in history),
            None if broken is None else _read(BreakRow, broken),
            tuple(_read(BreakEventRow, row) for row in moved),
        )

    def _all(self, statement: Select[Any]) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(statement).all()

    def _batches(self, statement: Select[Any]) -> Iterator[Sequence[Any]]:
        with self.engine.connect() as connection:
            yield from connection.execution_options(yield_per=BATCH_ROWS).execute(statement).partitions()


def _wanted(wanted: Filter) -> tuple[Table, type[Struct], list[ColumnElement[bool]], list[Any]]:
    match wanted:
        case BreakFilter():
            return breaks, BreakRow, _break_conditions(wanted), _break_order(wanted.sort)
        case TradeFilter():
            return results, TradeRow, _trade_conditions(wanted), _trade_order(wanted.sort)
        case DeadLetterFilter():
            columns = dead_letters.c
            asked = ((columns.code, wanted.code), (columns.source_topic, wanted.topic))
            state = _equal((letter_state(), wanted.state)) if wanted.state else []
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
        return select(*letter_columns())
    return select(*(table.c[name] for name in kind.__struct_fields__))


_decode = msgspec.json.Decoder(tuple[str, ...]).decode


@cache
def _codes(text: str) -> tuple[str, ...]:
    return _decode(text)


_READ: dict[str, Callable[[str], Any]] = {
    "reasons": _codes,
    "hints": _codes,
    "pending": msgspec.json.Decoder(dict[str, int]).decode,
    "oldest": msgspec.json.Decoder(tuple[Waiting, ...]).decode,
}
"""Columns that hold JSON."""


def _read(kind: type[AnyRow], row: Sequence[Any]) -> AnyRow:
    return kind(
        *(
            _READ[name](value) if name in _READ else value
            for name, value in zip(kind.__struct_fields__, row, strict=True)
        )
    )
