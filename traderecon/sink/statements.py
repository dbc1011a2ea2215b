"""The sink's SQL statements as text for the driver: one statement writes hundreds of rows.

A row is a named tuple of ``columns.py``; its fields are the columns of the statement, in their order. SQLite releases
the GIL for each statement: with a statement per row, other Python threads would contend for it at every row.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import dialect

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
    SentIdColumns,
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
    sent_ids,
    sink_offsets,
    standings,
)

_quoted = dialect().identifier_preparer.quote


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
    sent_id: Statement
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


def _insert(table: Table, columns: type[NamedTuple]) -> Statement:
    names = columns._fields
    placeholders = f"({', '.join('?' * len(names))})"
    return Statement(f"INSERT INTO {table.name} ({_list(table, names)}) VALUES ", placeholders, "")  # noqa: S608  # our names


def _upsert(table: Table, columns: type[NamedTuple], *, newer_version_only: bool = False) -> Statement:
    """Insert a row, or replace the row with the same key."""
    key = table.primary_key.columns.keys()
    updates = [f"{name} = excluded.{name}" for name in map(_quoted, columns._fields) if name not in key]
    newer = f" WHERE excluded.version > {table.name}.version" if newer_version_only else ""
    update = f"UPDATE SET {', '.join(updates)}{newer}" if updates else "NOTHING"
    conflict = f" ON CONFLICT ({_list(table, key)}) DO {update}"
    return _insert(table, columns)._replace(suffix=conflict)


def _list(table: Table, names: Sequence[str]) -> str:
    """Names of columns as SQL. KeyError: the table has no such column."""
    return ", ".join(_quoted(table.columns[name].name) for name in names)


def statements() -> Statements:
    """The statements of all tables."""
    return Statements(
        history=_insert(result_history, HistoryColumns),
        result=_upsert(results, ResultColumns, newer_version_only=True),
        sent_id=_upsert(sent_ids, SentIdColumns),
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
