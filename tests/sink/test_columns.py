"""The named tuples of the rows that the sink writes are the columns of their tables."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Table

from traderecon.sink import columns, schema, statements
from traderecon.sink.store import Store

CLASSES = {
    columns.ResultColumns: schema.results,
    columns.HistoryColumns: schema.result_history,
    columns.SentIdColumns: schema.sent_ids,
    columns.BreakColumns: schema.breaks,
    columns.BreakEventColumns: schema.break_events,
    columns.DeadLetterColumns: schema.dead_letters,
    columns.StatusColumns: schema.standings,
    columns.OffsetColumns: schema.sink_offsets,
    columns.LedgerColumns: schema.ledger,
    columns.ActionColumns: schema.dead_letter_actions,
    columns.BeginningColumns: schema.beginnings,
    columns.RulesChangeColumns: schema.rules_changes,
}
WRITTEN_OTHERWISE = {
    ("result_history", "content_sha256"),  # a purge writes it
}


def test_every_class_has_a_table_here() -> None:
    declared = {value for name, value in vars(columns).items() if name.endswith("Columns")}
    assert declared == CLASSES.keys()


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.__name__)
def test_a_row_has_the_columns_of_its_table_in_their_order(row: Any) -> None:
    table: Table = CLASSES[row]
    assigned = {column.name for column in table.columns if column.autoincrement is True}  # by the database
    expected = [
        column.name
        for column in table.columns
        if column.name not in assigned and (table.name, column.name) not in WRITTEN_OTHERWISE
    ]
    assert [*row._fields] == expected


@pytest.mark.parametrize("name", statements.Statements._fields)
def test_a_statement_has_the_fields_of_its_row_in_their_order(name: str) -> None:
    statement = getattr(statements.statements(), name)
    found = re.fullmatch(r"INSERT INTO (\w+) \((.+)\) VALUES ", statement.prefix)
    assert found is not None
    [row] = [row for row, table in CLASSES.items() if table.name == found[1]]
    assert tuple(column.strip('"') for column in found[2].split(", ")) == row._fields  # type: ignore[attr-defined]
    assert statement.placeholders.count("?") == len(row._fields)  # type: ignore[attr-defined]


def test_the_order_is_that_of_the_row_whatever_that_of_the_table(tmp_path: Path) -> None:
    class Turned(NamedTuple):
        head: str
        next_offset: int
        topic: str
        partition: int

    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    with store.engine.connect() as connection:
        for offset in (7, 8):
            row = Turned(head="h", next_offset=offset, topic="actions", partition=1)
            connection.exec_driver_sql(statements._upsert(schema.sink_offsets, Turned).rows(1), row)
        stored = connection.exec_driver_sql("SELECT topic, partition, next_offset, head FROM sink_offsets").all()
    store.close()
    assert [*map(tuple, stored)] == [("actions", 1, 8, "h")]


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.__name__)
def test_a_field_is_optional_where_its_column_may_be_null(row: Any) -> None:
    table: Table = CLASSES[row]
    optional = {name for name, kind in row.__annotations__.items() if type(None) in getattr(kind, "__args__", ())}
    nullable = {name for name in row._fields if table.columns[name].nullable}
    # A break has reasons, and reasons have a severity; the type of ``worst_severity`` does not say so.
    assert optional - {"severity"} == nullable - {"severity"}
