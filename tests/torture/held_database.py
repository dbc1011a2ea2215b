"""Locked database: another process holds the write lock, as a slow backup would.

LockedDatabase(path): hold -> backlog of the sink -> release
"""

import sqlite3
from pathlib import Path

LOCK_TIMEOUT_S = 30


class LockedDatabase:
    """The write lock of an SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def hold(self) -> None:
        """Acquire the lock. Raises OSError if that fails."""
        if not self._path.exists():
            raise OSError(f"there is no database at {self._path} yet")
        connection = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            connection.close()
            raise OSError(f"cannot lock {self._path}: {error}") from error
        self._connection = connection

    def release(self) -> None:
        """Release the lock."""
        if self._connection is not None:
            self._connection.execute("ROLLBACK")
            self._connection.close()
            self._connection = None
