"""The consumer groups of an installation, as one looks for them from outside."""

import sqlite3
from contextlib import closing
from pathlib import Path

_NEWEST = "SELECT database_id FROM database_ids ORDER BY id DESC LIMIT 1"


def group_of(prefix: str, role: str, database: Path) -> str:
    """The group of a role; the sink's carries the id of its database (``-`` where there is none yet)."""
    group = f"{prefix}traderecon-{role}"
    return f"{group}-{_id(database)}" if role == "sink" else group


def _id(database: Path) -> str:
    if not database.exists():
        return "-"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute(_NEWEST).fetchone()
        except sqlite3.OperationalError:
            row = None
    return str(row[0]) if row else "-"
