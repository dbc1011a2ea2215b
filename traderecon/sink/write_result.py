"""What a micro-batch came to in the database: counts for the metrics, and what the next link of its chain follows."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

from traderecon.records.instants import iso, received_ns
from traderecon.sink.statements import Statement
from traderecon.transport import Record

MARKS = 500
"""Keys of one question to the database."""
STEPS = (512, 128, 32, 8, 1)
"""Rows of one statement: few sizes, so that the driver knows the statement when it comes again."""


class WriteResult(NamedTuple):
    """What is new in the database: nothing of it was there before.

    ``rows``: results, dead letters and standings written. ``conflicts``: results whose version another one has, or
    whose event id came with other bytes. ``received_at_ns``: when the leg that decided came, of each with two sides.
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


def at(record: Record) -> str:
    """When the log took a record, as ISO 8601."""
    return iso(received_ns(record.timestamp))


def asked(connection: Connection, question: str, keys: Iterable[str]) -> Iterator[Sequence[Any]]:
    """The rows of a question that ends in ``IN (...)``, for these keys."""
    for text, some in _asking(question, keys):
        yield from connection.exec_driver_sql(text, some)


def wrote(connection: Connection, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> int:
    """Write rows, in order; gives how many."""
    first = 0
    for step in STEPS:
        while first + step <= len(rows):
            cells = tuple(chain.from_iterable(rows[first : first + step]))
            connection.exec_driver_sql(statement.rows(step), cells)
            first += step
    return first


def forgot(connection: Connection, statement: str, keys: Iterable[str]) -> None:
    """Delete by a statement that ends in ``IN (...)``, for these keys."""
    for text, some in _asking(statement, keys):
        connection.exec_driver_sql(text, some)


def _asking(question: str, keys: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    every = list(keys)
    for first in range(0, len(every), MARKS):
        some = tuple(every[first : first + MARKS])
        yield question.replace("...", ",".join("?" * len(some))), some
