"""The sink's database as anybody finds it: every table, by plain SQLite, as of one moment."""

import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from torture.pipeline_oracle import Database

LATER = {"ledger"}
"""Tables that an older database has not."""


def read_database(path: Path) -> Database:
    """Every row; nothing where the file or its tables are not there yet. Raises OSError where it cannot be read."""
    if not path.exists():
        return Database()
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            names = [field.name for field in fields(Database)]
            if not there.issuperset(set(names) - LATER):
                return Database()
            return Database(
                *(
                    [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] if name in there else []
                    for name in names
                )
            )
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def offsets_in(path: Path) -> list[dict[str, Any]]:
    """The rows of ``sink_offsets`` alone. Raises OSError where they cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM sink_offsets")]
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error
