"""The sink's statements, made from the tables, as text for the driver: a batch is one call each.

A row is a tuple in the order of its table's columns, without the ``id`` the database gives.
"""

from typing import NamedTuple

from sqlalchemy import Executable, Table
from sqlalchemy.dialects.sqlite import dialect, insert

from traderecon.sink.schema import break_events, breaks, dead_letters, result_history, results, sink_offsets, standings


class Statements(NamedTuple):
    """SQL with a mark for each column of its row."""

    history: str
    result: str
    break_event: str
    break_row: str
    letter: str
    standing: str
    position: str


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name != "id"]


def _text(statement: Executable, table: Table) -> str:
    return str(statement.compile(dialect=dialect(), column_keys=_columns(table)))  # type: ignore[attr-defined]


def _added(table: Table) -> str:
    return _text(insert(table), table)


def _put(table: Table, *, newer: bool = False) -> str:
    """Insert, or replace the row of that key; ``newer``: only where the version rises."""
    row = insert(table)
    rest = {name: row.excluded[name] for name in _columns(table) if not table.columns[name].primary_key}
    rises = row.excluded["version"] > table.columns["version"] if newer else None
    return _text(row.on_conflict_do_update(index_elements=table.primary_key, set_=rest, where=rises), table)


def statements() -> Statements:
    """All of them."""
    return Statements(
        history=_added(result_history),
        result=_put(results, newer=True),
        break_event=_added(break_events),
        break_row=_put(breaks),
        letter=_added(dead_letters),
        standing=_put(standings),
        position=_put(sink_offsets),
    )
