"""How many trades wait for a leg, according to the database of the settings."""

from typing import NamedTuple

from traderecon.addresses import sqlite_path
from traderecon.records.formats import OtherFormat
from traderecon.sink.database import StoreError
from traderecon.sink.queries import UNREADABLE, Queries


class Waiting(NamedTuple):
    """So many trades, and the database that says so."""

    trades: int
    where: str


def waiting(database_url: str) -> Waiting | None:
    """The trades that wait; None where there is no database here, or none that can be read."""
    path = sqlite_path(database_url)
    if path is None or not path.is_file():
        return None
    try:
        queries = Queries.open(database_url)
        try:
            return Waiting(sum(sum(one.pending.values()) for one in queries.standings()), str(path))
        finally:
            queries.close()
    except (StoreError, OtherFormat, *UNREADABLE):
        return None
