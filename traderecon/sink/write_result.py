"""What the writers of one micro-batch share: its records, what was written, and SQL for many keys or rows at a time."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

from traderecon.records.instants import iso, received_ns
from traderecon.sink.statements import Statement
from traderecon.transport import Record

KEYS_PER_QUERY = 500
ROWS_PER_STATEMENT = (512, 128, 32, 8, 1)
"""A few fixed sizes, so that the driver's cache of prepared statements gets hits."""


class WriteResult(NamedTuple):
    """What was new to the database.

    ``rows``: results, dead letters and partition statuses written. ``conflicts``: results whose version is taken by
    another result, or whose event id is stored with other content. ``received_at_ns``: of each result with both sides,
    when its deciding leg was received.
    """

    rows: int = 0
    conflicts: int = 0
    received_at_ns: Sequence[int] = ()


class Feed(NamedTuple):
    """The records of a micro-batch that the database does not have yet, and the head of their chain."""

    topic: str
    partition: int
    records: Sequence[Record]
    head: str


def appended_at(record: Record) -> str:
    """When the log appended a record, as ISO 8601."""
    return iso(received_ns(record.timestamp))


def select_in(connection: Connection, query: str, keys: Iterable[str]) -> Iterator[Sequence[Any]]:
    """The rows of a query that contains ``IN (...)``, for these keys."""
    for text, chunk in _chunked(query, keys):
        yield from connection.exec_driver_sql(text, chunk)


def insert_rows(connection: Connection, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> int:
    """Write rows, in order; returns how many."""
    first = 0
    for count in ROWS_PER_STATEMENT:
        while first + count <= len(rows):
            cells = tuple(chain.from_iterable(rows[first : first + count]))
            connection.exec_driver_sql(statement.rows(count), cells)
            first += count
    return first


def delete_in(connection: Connection, statement: str, keys: Iterable[str]) -> None:
    """Run a DELETE that contains ``IN (...)``, for these keys."""
    for text, chunk in _chunked(statement, keys):
        connection.exec_driver_sql(text, chunk)


def _chunked(statement: str, keys: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    all_keys = list(keys)
    for first in range(0, len(all_keys), KEYS_PER_QUERY):
        chunk = tuple(all_keys[first : first + KEYS_PER_QUERY])
        yield statement.replace("...", ",".join("?" * len(chunk))), chunk
