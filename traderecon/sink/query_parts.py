"""The parts of a query of a list: its table and columns, the conditions of its filter, its order."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, or_, select

from traderecon.clock import now_ns
from traderecon.records import Severity, State
from traderecon.records.instants import iso
from traderecon.sink.dead_letter_queries import dead_letter_columns, dead_letter_state
from traderecon.sink.filters import (
    BreakFilter,
    BreakSort,
    DeadLetterFilter,
    DeadLetterState,
    Filter,
    Status,
    TradeFilter,
    TradeSort,
)
from traderecon.sink.rows import BreakRow, DeadLetterRow, Struct, TradeRow
from traderecon.sink.schema import breaks, dead_letters, results, sent_ids

OPEN = ("OPEN", "REOPENED")

_LAST_CHARACTER = "\U0010ffff"


def query_parts(wanted: Filter) -> tuple[Table, type[Struct], list[ColumnElement[bool]], list[Any]]:
    """Table, row type, conditions and order of a filter."""
    match wanted:
        case BreakFilter():
            return breaks, BreakRow, _break_conditions(wanted), _break_order(wanted.sort)
        case TradeFilter():
            return results, TradeRow, _trade_conditions(wanted), _trade_order(wanted.sort)
        case DeadLetterFilter():
            columns = dead_letters.c
            fields = ((columns.code, wanted.code), (columns.source_topic, wanted.topic))
            state = _equal((dead_letter_state(), wanted.state)) if wanted.state else []
            return dead_letters, DeadLetterRow, [*_equal(*fields), *state], [columns.id.desc()]


def _break_conditions(wanted: BreakFilter) -> list[ColumnElement[bool]]:
    columns = breaks.c
    conditions = _equal(
        (severity_now(), wanted.severity), (columns.state, wanted.state), (columns.ticker, wanted.ticker)
    )
    if wanted.status != Status.ALL:
        conditions.append(is_open() if wanted.status == Status.OPEN else columns.status == "RESOLVED")
    return conditions + _contains(columns.reasons, wanted.reason) + _starts_with(columns.trade_id, wanted.trade_id)


def _trade_conditions(wanted: TradeFilter) -> list[ColumnElement[bool]]:
    columns = results.c
    conditions = _equal((columns.state, wanted.state), (columns.ticker, wanted.ticker))
    if wanted.reason:
        conditions.append(columns.state.in_([state for state in State if state.is_break]))  # the only ones with reasons
    if wanted.date:
        conditions.append(columns.event_time.between(f"{wanted.date}T", f"{wanted.date}U"))
    return conditions + _contains(columns.reasons, wanted.reason) + _starts_with(columns.trade_id, wanted.trade_id)


def _starts_with(column: Any, prefix: str) -> list[ColumnElement[bool]]:
    """A range in byte order: it can use an index, and is case-sensitive."""
    return [column.between(prefix, prefix + _LAST_CHARACTER)] if prefix else []


def is_open() -> ColumnElement[bool]:
    """The break is open, for the first time or again."""
    return breaks.c.status.in_(OPEN)


def _equal(*fields: tuple[Any, str]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in fields if value]


def _contains(column: Any, code: str) -> list[ColumnElement[bool]]:
    """The JSON list of codes contains this one."""
    return [column.contains(f'"{code}"', autoescape=True)] if code else []


def _break_order(sort: str) -> list[Any]:
    columns = breaks.c
    rank = case({severity.value: rank for rank, severity in enumerate(Severity)}, value=severity_now(), else_=99)
    order: dict[str, list[Any]] = {
        BreakSort.SEVERITY: [rank, *largest_first(columns.at_stake), columns.opened_at],
        BreakSort.OLDEST: [columns.opened_at],
        BreakSort.NEWEST: [columns.opened_at.desc()],
        BreakSort.AT_STAKE: [*largest_first(columns.at_stake), columns.opened_at],
        BreakSort.NOTIONAL: [*largest_first(columns.notional), columns.opened_at],
    }
    return [*order.get(sort, []), columns.trade_id]


def severity_now() -> ColumnElement[Any]:
    """The severity of a break at this moment: an open one may become more urgent with age."""
    columns = breaks.c
    later = and_(is_open(), columns.escalates_at <= iso(now_ns()))
    return case((later, columns.escalates_to), else_=columns.severity)


def largest_first(amount: Any) -> list[Any]:
    """An order of decimals of zero or more, exact for any number of digits; an amount that is unknown comes first."""
    digits_before_point = func.instr(amount.concat("."), ".")
    return [amount.is_not(None), digits_before_point.desc(), amount.desc()]


def _trade_order(sort: str) -> list[Any]:
    columns = results.c
    order: dict[str, list[Any]] = {
        TradeSort.OLDEST: [columns.event_time],
        TradeSort.NEWEST: [columns.event_time.desc()],
    }
    return [*order.get(sort, []), columns.trade_id]


def trade_severity_now() -> ColumnElement[Any]:
    """The severity of a trade's newest result at this moment, as that of its break; NULL if it is no break."""
    of_break = select(severity_now()).where(breaks.c.trade_id == results.c.trade_id).scalar_subquery()
    return case((results.c.severity.is_not(None), func.coalesce(of_break, results.c.severity)))


def select_rows(row_type: type[Struct], table: Table) -> Select[Any]:
    """Select the columns of a row type, in the order of its fields; the severity as it is now."""
    derived = _DERIVED.get(row_type)
    if derived is None:
        return columns_of(row_type, table)
    columns = {name: column().label(name) for name, column in derived.items()}
    return select(*(columns[name] if name in columns else table.c[name] for name in row_type.__struct_fields__))


@cache
def columns_of(row_type: type[Struct], table: Table) -> Select[Any]:
    """Select the columns of a row type, in the order of its fields."""
    if row_type is DeadLetterRow:
        return select(*dead_letter_columns())
    return select(*(table.c[name] for name in row_type.__struct_fields__))


def names_trade(trade_id: Any) -> ColumnElement[bool]:
    """A dead letter's record names the trade, by its id or by one that records of it were sent with."""
    sent = select(sent_ids.c.sent_id).where(sent_ids.c.trade_id == trade_id).correlate(breaks)
    return or_(dead_letters.c.trade_id == trade_id, dead_letters.c.trade_id.in_(sent))


def _rejections() -> ColumnElement[Any]:
    """The open dead letters that name the trade of a break, each as its source topic and code: a JSON list."""
    rejection = dead_letters.c.source_topic + " " + dead_letters.c.code
    of_trade = select(func.json_group_array(rejection.distinct())).select_from(dead_letters)
    undecided = dead_letter_state() == DeadLetterState.OPEN
    return of_trade.where(names_trade(breaks.c.trade_id), undecided).correlate(breaks).scalar_subquery()


_DERIVED: Mapping[type[Struct], Mapping[str, Callable[[], ColumnElement[Any]]]] = {
    BreakRow: {"severity": severity_now, "rejections": _rejections},
    TradeRow: {"severity": trade_severity_now},
}
"""By the name of a field, what is no column of the row's table."""
