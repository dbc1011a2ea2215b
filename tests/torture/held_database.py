"""Held database: somebody else has the lock for writing, as a slow backup or a careless person would.

HeldDatabase(path): hold -> backlog of the sink -> release
"""

import sqlite3
from pathlib import Path

PATIENCE_S = 30


class HeldDatabase:
    """SQLite's write lock on a file, held or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def hold(self) -> None:
        """Take the lock. Raises OSError where it cannot be had."""
        if not self._path.exists():
            raise OSError(f"there is no database at {self._path} yet")
        connection = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            connection.close()
            raise OSError(f"{self._path} is not to be locked: {error}") from error
        self._connection = connection

    def release(self) -> None:
        """Let it go."""
        if self._connection is not None:
            self._connection.execute("ROLLBACK")
            self._connection.close()
            self._connection = None
