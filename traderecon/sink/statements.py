"""The sink's statements, made from the tables, as text for the driver: one statement writes hundreds of rows.

A row is a tuple in the order of its table's columns, without the ``id`` the database gives. SQLite works on a statement
without the interpreter's lock: with a statement per row, whoever else runs Python would wait for each.
"""

from functools import cache
from typing import NamedTuple

from sqlalchemy import Executable, Table
from sqlalchemy.dialects.sqlite import dialect, insert

from traderecon.sink.schema import (
    beginnings,
    break_events,
    breaks,
    dead_letter_actions,
    dead_letters,
    ledger,
    result_history,
    results,
    rules_changes,
    sink_offsets,
    standings,
)

NEVER_INSERTED = ("id", "content_sha256")
"""What the database gives, and what a purge writes."""


class Statement(NamedTuple):
    """SQL that writes rows: before their marks, the marks of one row, behind them."""

    before: str
    marks: str
    behind: str

    def rows(self, count: int) -> str:
        """The text that writes so many."""
        return _repeated(self, count)


class Statements(NamedTuple):
    """Every table's."""

    history: Statement
    result: Statement
    break_event: Statement
    break_row: Statement
    letter: Statement
    standing: Statement
    position: Statement
    account: Statement
    action: Statement
    beginning: Statement
    rules_change: Statement


@cache
def _repeated(statement: Statement, count: int) -> str:
    return statement.before + ", ".join([statement.marks] * count) + statement.behind


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name not in NEVER_INSERTED]


def _statement(statement: Executable, table: Table) -> Statement:
    columns = _columns(table)
    text = str(statement.compile(dialect=dialect(), column_keys=columns))  # type: ignore[attr-defined]
    return Statement(*text.partition(f"({', '.join('?' * len(columns))})"))


def _added(table: Table) -> Statement:
    return _statement(insert(table), table)


def _put(table: Table, *, newer: bool = False) -> Statement:
    """Insert, or replace the row of that key; ``newer``: only where the version rises."""
    row = insert(table)
    rest = {name: row.excluded[name] for name in _columns(table) if not table.columns[name].primary_key}
    rises = row.excluded["version"] > table.columns["version"] if newer else None
    return _statement(row.on_conflict_do_update(index_elements=table.primary_key, set_=rest, where=rises), table)


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
        account=_put(ledger),
        action=_added(dead_letter_actions),
        beginning=_added(beginnings),
        rules_change=_added(rules_changes),
    )
