"""The named tuples of the rows that the sink writes are the columns of their tables."""

from typing import Any

import pytest
from sqlalchemy import Table

from traderecon.sink import columns, schema

CLASSES = {
    columns.ResultColumns: schema.results,
    columns.HistoryColumns: schema.result_history,
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


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.__name__)
def test_a_field_is_optional_where_its_column_may_be_null(row: Any) -> None:
    table: Table = CLASSES[row]
    optional = {name for name, kind in row.__annotations__.items() if type(None) in getattr(kind, "__args__", ())}
    nullable = {name for name in row._fields if table.columns[name].nullable}
    # A break has reasons, and reasons have a severity; the type of ``worst_severity`` does not say so.
    assert optional - {"severity"} == nullable - {"severity"}
