"""The SQLite file of a log: one connection that writes and one that reads, each lent to one thread at a time.

In WAL mode a read never waits for a write, nor a write for a read. Options that correctness needs are written here.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

from traderecon.transport.log.errors import Busy, OtherFormat, Removed, explained

APPLICATION = 0x54524C47
"""In the file's header: a log of ours ("TRLG")."""
FORMAT = 2
"""In the file's header: the tables below. Another number is refused, not guessed at."""

CHECKPOINT_PAGES = 4_096
MAX_IDLE_WAL_BYTES = 64 * 1_048_576
AGAIN_S = 0.01
"""How soon SQLite is asked again where its own waiting does not apply."""

OFFSET_BITS = 44
"""Offsets go to 1.7E13, a hundred thousand a second for five years; partitions to half a million."""

SCHEMA = f"""
CREATE TABLE topics (
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    compacted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY CHECK (id < 1 << {63 - OFFSET_BITS}),
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, -- offsets below were trimmed
    next INTEGER NOT NULL DEFAULT 0 CHECK (next < 1 << {OFFSET_BITS}), -- the offset of the next record
    cleaned INTEGER NOT NULL DEFAULT 0, -- below, every key is there at most once
    kept INTEGER NOT NULL DEFAULT 0,    -- records below ``cleaned``
    UNIQUE (topic, number)
);
CREATE TABLE batches (
    place INTEGER PRIMARY KEY, -- of its last record: see the function
    checksum INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE clock (
    ahead_ms INTEGER NOT NULL -- what the log's time is ahead of the machine's
);
CREATE TABLE identity (
    cluster TEXT NOT NULL -- drawn when the log was made: no other log has it
);
CREATE TABLE commits (
    consumers TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (consumers, partition)
) WITHOUT ROWID;
"""

INSERT = "INSERT INTO batches (place, checksum, content) VALUES (?, ?, ?)"


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def place(partition: int, offset: int) -> int:
    """Where a record is in the file: its partition and offset as one integer, so that a search reads no contents."""
    return partition << OFFSET_BITS | offset


class Sync(StrEnum):
    """What an acknowledged write survives."""

    FULL = "FULL"
    """A power cut."""
    NORMAL = "NORMAL"
    """The death of any process; a power cut may take the last writes, never one without those after it."""


class Database:
    """The open file. ``patience_s``: how long to wait for another process that writes."""

    def __init__(self, path: Path, sync: Sync, patience_s: float) -> None:
        self.path = path
        self._sync = sync
        self._patience_s = patience_s
        self._writing = Lock()
        self._reading = Lock()
        try:
            self._writer = self._connected()
            try:
                self._prepare()
                self._reader = self._connected()
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise explained(path, error) from error
        self._inode, self._wal_inode = _inode(path), _inode(self._wal)

    @property
    def _wal(self) -> Path:
        return Path(f"{self.path}-wal")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: what the body wrote is durable when it ends, and undone when it raises."""
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._require_files()
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:  # a full disk has ended it already
                        self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise explained(self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is committed. One statement sees one state; a cursor is closed within the body."""
        with self._reading:
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise explained(self.path, error) from error

    def _require_files(self) -> None:
        """Raise Removed where the files are no longer those that are open: SQLite would write on without a word."""
        self._wal_inode = self._wal_inode or _inode(self._wal)
        for path, inode in ((self.path, self._inode), (self._wal, self._wal_inode)):
            if _inode(path) != inode:
                raise Removed(
                    f"{path} was removed or replaced while it was in use: what is written to it is lost. Put "
                    f"{self.path} back from a backup and start again; without one, begin with an empty data directory"
                )

    def close(self) -> None:
        """Close both connections, each when its call under way is over. A second time does nothing."""
        for lock, connection in ((self._reading, self._reader), (self._writing, self._writer)):
            with lock:
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._patience_s, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA synchronous = {self._sync}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {MAX_IDLE_WAL_BYTES}")
        return connection

    def identity(self) -> str:
        """What tells this log from any other. One that was made before logs had an id is given one, once."""
        with self.reading() as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'identity'").fetchone():
                return str(connection.execute("SELECT cluster FROM identity").fetchone()[0])
        with self.writing() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS identity (cluster TEXT NOT NULL)")
            connection.execute("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", (_drawn(),))
            return str(connection.execute("SELECT cluster FROM identity").fetchone()[0])

    def _prepare(self) -> None:
        """Make the tables in a new file; refuse one that is not ours."""
        until = monotonic() + self._patience_s
        while not self._is_ours():
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                self._create()
            except sqlite3.OperationalError as error:
                refusal = explained(self.path, error)
                if not isinstance(refusal, Busy) or monotonic() > until:
                    raise
                sleep(AGAIN_S)  # another process makes the same file; for a change of mode SQLite does not wait

    def _is_ours(self) -> bool:
        """False: the file is empty."""
        application, version, tables = (
            self._writer.execute(question).fetchone()[0]
            for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
        )
        if (application, version) == (APPLICATION, FORMAT):
            return True
        if application == APPLICATION:
            raise OtherFormat(f"{self.path}: a log of format {version}, this version reads {FORMAT}")
        if application or version or tables:
            raise OtherFormat(f"{self.path}: a database of something else: name another file")
        return False

    def _create(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_ours():
                for statement in SCHEMA.split(";"):
                    self._writer.execute(statement)
                self._writer.execute("INSERT INTO clock VALUES (0)")
                self._writer.execute("INSERT INTO identity VALUES (?)", (_drawn(),))
                self._writer.execute(f"PRAGMA application_id = {APPLICATION}")
                self._writer.execute(f"PRAGMA user_version = {FORMAT}")
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise


def _drawn() -> str:
    return f"log-{secrets.token_hex(8)}"
