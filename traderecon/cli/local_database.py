"""Access to the configured database for commands: optional, or required."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from traderecon.addresses import sqlite_path
from traderecon.cli.console import fail
from traderecon.records.formats import OtherFormat
from traderecon.settings import Settings
from traderecon.sink.database import StoreError, to_store_error
from traderecon.sink.queries import UNREADABLE, Queries
from traderecon.sink.store import Store

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


@contextmanager
def readable_database(settings: Settings) -> Iterator[Queries]:
    """The database for reading; ends the command if it cannot be read."""
    try:
        store = Store.existing(settings.database_url)
        try:
            store.prepare()
        finally:
            store.close()
        queries = Queries.open(settings.database_url)
        try:
            yield queries
        finally:
            queries.close()
    except StoreError as error:
        fail(error.code, error.message)
    except OtherFormat as error:
        fail(error.exit_code, str(error))
    except UNREADABLE as error:
        store_error = to_store_error(str(sqlite_path(settings.database_url)), getattr(error, "orig", error))
        fail(store_error.code, store_error.message)
