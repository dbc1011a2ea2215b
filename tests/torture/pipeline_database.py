"""The sink's database, read with plain SQLite: every table, in one transaction."""

import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from torture.pipeline_oracle import Database

NEWER_TABLES = {"ledger"}
"""Tables that older databases lack."""


def read_database(path: Path) -> Database:
    """Every row; none if the file or its tables do not exist yet. Raises OSError if it cannot be read."""
    if not path.exists():
        return Database()
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            existing = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            names = [field.name for field in fields(Database)]
            if not existing.issuperset(set(names) - NEWER_TABLES):
                return Database()
            return Database(
                *(
                    [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] if name in existing else []
                    for name in names
                )
            )
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def offsets_in(path: Path) -> list[dict[str, Any]]:
    """The rows of ``sink_offsets`` alone. Raises OSError if they cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM sink_offsets")]
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error
