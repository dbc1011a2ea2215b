"""The sink's SQL statements, generated from the tables as text for the driver: one statement writes hundreds of rows.

A row is a named tuple of ``columns.py``. SQLite releases the GIL
for each statement: with a statement per row, other Python threads would contend for it at every row.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from sqlalchemy import Executable, Table
from sqlalchemy.dialects.sqlite import dialect, insert

from traderecon.sink.columns import (
    ActionColumns,
    BeginningColumns,
    BreakColumns,
    BreakEventColumns,
    DeadLetterColumns,
    HistoryColumns,
    LedgerColumns,
    OffsetColumns,
    ResultColumns,
    RulesChangeColumns,
    StatusColumns,
)
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


class Statement(NamedTuple):
    """SQL that writes rows: the text before the values, the placeholders of one row, the text after them."""

    prefix: str
    placeholders: str
    suffix: str

    def rows(self, count: int) -> str:
        """The SQL that writes this many rows."""
        return _for_rows(self, count)


class Statements(NamedTuple):
    """The statement of every table."""

    history: Statement
    result: Statement
    break_event: Statement
    break_row: Statement
    dead_letter: Statement
    partition_status: Statement
    position: Statement
    account: Statement
    action: Statement
    beginning: Statement
    rules_change: Statement


@cache
def _for_rows(statement: Statement, count: int) -> str:
    return statement.prefix + ", ".join([statement.placeholders] * count) + statement.suffix


def _statement(statement: Executable, names: Sequence[str]) -> Statement:
    text = str(statement.compile(dialect=dialect(), column_keys=names))  # type: ignore[attr-defined]
    return Statement(*text.partition(f"({', '.join('?' * len(names))})"))


def _insert(table: Table, columns: type[NamedTuple]) -> Statement:
    return _statement(insert(table), columns._fields)


def _upsert(table: Table, columns: type[NamedTuple], *, newer_version_only: bool = False) -> Statement:
    """Insert a row, or replace the row with the same key."""
    row = insert(table)
    values = {name: row.excluded[name] for name in columns._fields if not table.columns[name].primary_key}
    newer = row.excluded["version"] > table.columns["version"] if newer_version_only else None
    return _statement(
        row.on_conflict_do_update(index_elements=table.primary_key, set_=values, where=newer), columns._fields
    )


def statements() -> Statements:
    """The statements of all tables."""
    return Statements(
        history=_insert(result_history, HistoryColumns),
        result=_upsert(results, ResultColumns, newer_version_only=True),
        break_event=_insert(break_events, BreakEventColumns),
        break_row=_upsert(breaks, BreakColumns),
        dead_letter=_insert(dead_letters, DeadLetterColumns),
        partition_status=_upsert(standings, StatusColumns),
        position=_upsert(sink_offsets, OffsetColumns),
        account=_upsert(ledger, LedgerColumns),
        action=_insert(dead_letter_actions, ActionColumns),
        beginning=_insert(beginnings, BeginningColumns),
        rules_change=_insert(rules_changes, RulesChangeColumns),
    )
