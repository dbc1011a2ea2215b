"""What a micro-batch came to in the database: counts for the metrics, and what the next link of its chain follows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from traderecon.records.instants import NS_PER_MS, iso
from traderecon.transport import Record

MARKS = 500
"""Keys of one question to the database."""


class Taken(NamedTuple):
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
    return iso(record.timestamp * NS_PER_MS)


def asked(connection: Connection, question: str, keys: Iterable[str]) -> Iterator[Sequence[Any]]:
    """The rows of a question that ends in ``IN (...)``, for these keys."""
    every = list(keys)
    for first in range(0, len(every), MARKS):
        some = tuple(every[first : first + MARKS])
        yield from connection.exec_driver_sql(question.replace("...", ",".join("?" * len(some))), some)


def wrote(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> int:
    """Write rows; gives how many."""
    if rows:
        connection.exec_driver_sql(statement, rows)
    return len(rows)
