"""Optional access to the configured database, for commands that can do without it."""

from collections.abc import Callable
from typing import TypeVar

from traderecon.addresses import sqlite_path
from traderecon.records.formats import OtherFormat
from traderecon.sink.database import StoreError
from traderecon.sink.queries import UNREADABLE, Queries

T = TypeVar("T")


def ask(database_url: str, question: Callable[[Queries], T]) -> T | None:
    """The answer of the database; None if it is not on this machine or cannot be read."""
    path = sqlite_path(database_url)
    if path is None or not path.is_file():
        return None
    try:
        queries = Queries.open(database_url)
        try:
            return question(queries)
        finally:
            queries.close()
    except (StoreError, OtherFormat, *UNREADABLE):
        return None
