"""The id of a database: the sink's consumer group carries it, so each database reads every output in full.

    database_id(connection)  ->  "3f9c2a7b51d0"       renewed(connection, reason, at)  ->  a new one

A copy must not share its original's group, where each would get a part: a backup has no id, whoever opens it first
draws one, and so does a sink that finds its id in use, or its group ahead of its file (``sink_group``).
Every id a database ever had stays in ``database_ids``, with the reason; the newest is in force.
"""

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

_NEWEST = "SELECT database_id FROM database_ids ORDER BY id DESC LIMIT 1"
_ADD = "INSERT INTO database_ids (database_id, since, reason) VALUES (?, ?, ?)"
FORGET = "INSERT INTO database_ids (database_id, since, reason) VALUES ('', datetime('now'), 'a backup')"
"""What a copy runs, so that it gets an id of its own; those it had tell which checkpoints are of its chains."""
CHARACTERS = 12


def found_id(connection: Connection) -> str | None:
    """The id in force; None where none was drawn since it was made, or copied."""
    row = connection.exec_driver_sql(_NEWEST).first()
    return None if row is None or not row[0] else str(row[0])


def id_in(path: Path) -> str | None:
    """The id in force in a file, empty where it has none; None where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute(_NEWEST).fetchone()
    except sqlite3.Error:
        return None
    return "" if row is None else str(row[0])


def renewed(connection: Connection, reason: str, at: str, draw: Callable[[], str] = lambda: uuid.uuid4().hex) -> str:
    """Draw a new id; ``at`` is ISO 8601 UTC."""
    database_id = draw()[:CHARACTERS]
    connection.exec_driver_sql(_ADD, (database_id, at, reason))
    return database_id
