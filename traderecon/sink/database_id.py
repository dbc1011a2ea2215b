"""The id of a database. The sink's consumer group contains it, so that each database reads every output in full.

    current_id(connection)  ->  "3f9c2a7b51d0"       renew_id(connection, reason, at)  ->  a new id

A copy must not share the group of its original, where each would get only some of the partitions. So a backup has no
id: its first worker generates one. A sink also generates a new id when its own is in use elsewhere, or when its group
is ahead of its file (``sink_group``). Every id a database has had stays in ``database_ids`` with the reason; the newest
is in force.
"""

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

_NEWEST = "SELECT database_id FROM database_ids ORDER BY id DESC LIMIT 1"
_INSERT = "INSERT INTO database_ids (database_id, since, reason) VALUES (?, ?, ?)"
CLEAR_ID = "INSERT INTO database_ids (database_id, since, reason) VALUES ('', datetime('now'), 'a backup')"
"""Run in a backup, so that it gets an id of its own. Earlier ids stay: they tell which checkpoints are of its chains.
"""
ID_LENGTH = 12


def current_id(connection: Connection) -> str | None:
    """The id in force; None: none has been generated since the database was created or copied."""
    row = connection.exec_driver_sql(_NEWEST).first()
    return None if row is None or not row[0] else str(row[0])


def id_in(path: Path) -> str | None:
    """The id in force in a file: empty if it has none, None if the file cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute(_NEWEST).fetchone()
    except sqlite3.Error:
        return None
    return "" if row is None else str(row[0])


def renew_id(
    connection: Connection, reason: str, at: str, generate: Callable[[], str] = lambda: uuid.uuid4().hex
) -> str:
    """Generate and store a new id; ``at`` is ISO 8601 UTC."""
    database_id = generate()[:ID_LENGTH]
    connection.exec_driver_sql(_INSERT, (database_id, at, reason))
    return database_id
