"""The SQLite file of a log: one writing and one reading connection, each used by one thread at a time.

In WAL mode reads and writes do not wait for each other. Options that correctness depends on are explicit.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

from traderecon.transport.log.errors import Busy, OtherFormat, Removed, to_log_error

APPLICATION = 0x54524C47
"""``application_id`` in the file's header ("TRLG")."""
FORMAT = 2
"""``user_version`` in the file's header; files of another format are rejected."""

CHECKPOINT_PAGES = 4_096
MAX_IDLE_WAL_BYTES = 64 * 1_048_576
RETRY_S = 0.01
"""Retry delay where SQLite's own busy timeout does not apply."""

OFFSET_BITS = 44
"""Offsets up to 1.7E13 (100,000 a second for five years), and half a million partitions."""

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
    place INTEGER PRIMARY KEY, -- of its last record: see batch_key
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
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def batch_key(partition: int, offset: int) -> int:
    """The key of a batch: partition and last offset as one integer, so that a search reads no contents."""
    return partition << OFFSET_BITS | offset


class Sync(StrEnum):
    """How durable an acknowledged write is."""

    FULL = "FULL"
    """Survives a power cut."""
    NORMAL = "NORMAL"
    """Survives a crash of any process. A power cut may lose the last writes, but no earlier ones."""


class Database:
    """The open file. ``patience_s``: how long to wait for a writer in another process."""

    def __init__(self, path: Path, sync: Sync, patience_s: float) -> None:
        self.path = path
        self._sync = sync
        self._patience_s = patience_s
        self._writing = Lock()
        self._reading = Lock()
        try:
            self._writer = self._connect()
            try:
                self._prepare()
                self._reader = self._connect()
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise to_log_error(path, error) from error
        self._inode, self._wal_inode = _inode(path), _inode(self._wal)

    @property
    def _wal(self) -> Path:
        return Path(f"{self.path}-wal")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, committed durably at the end of the block and rolled back if it raises."""
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._require_files()
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:  # a full disk may have ended it already
                        self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise to_log_error(self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The reading connection. Each statement sees one committed state; close cursors within the block."""
        with self._reading:
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise to_log_error(self.path, error) from error

    def _require_files(self) -> None:
        """Raise Removed if the files are no longer the open ones: SQLite would silently write to deleted files."""
        self._wal_inode = self._wal_inode or _inode(self._wal)
        for path, inode in ((self.path, self._inode), (self._wal, self._wal_inode)):
            if _inode(path) != inode:
                raise Removed(
                    f"{path} was removed or replaced while in use: writes to it are lost. Restore {self.path} from a "
                    "backup and start again; without a backup, start with an empty data directory"
                )

    def close(self) -> None:
        """Close both connections once their current calls have finished. Idempotent."""
        for lock, connection in ((self._reading, self._reader), (self._writing, self._writer)):
            with lock:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._patience_s, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA synchronous = {self._sync}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {MAX_IDLE_WAL_BYTES}")
        return connection

    def identity(self) -> str:
        """The log's unique id. A log from before ids were introduced gets one at the first call."""
        with self.reading() as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'identity'").fetchone():
                return str(connection.execute("SELECT cluster FROM identity").fetchone()[0])
        with self.writing() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS identity (cluster TEXT NOT NULL)")
            connection.execute("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", (_new_id(),))
            return str(connection.execute("SELECT cluster FROM identity").fetchone()[0])

    def _prepare(self) -> None:
        """Create the tables in an empty file; OtherFormat if the file is anything else than a log."""
        until = monotonic() + self._patience_s
        while not self._is_log():
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                self._create()
            except sqlite3.OperationalError as error:
                if not isinstance(to_log_error(self.path, error), Busy) or monotonic() > until:
                    raise
                sleep(RETRY_S)  # another process creates the file; SQLite does not wait to change the journal mode

    def _is_log(self) -> bool:
        """Whether the file is a log of this format; False if it is empty, OtherFormat if it is anything else."""
        application, version, tables = (
            self._writer.execute(query).fetchone()[0]
            for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
        )
        if (application, version) == (APPLICATION, FORMAT):
            return True
        if application == APPLICATION:
            raise OtherFormat(f"{self.path}: a log of format {version}, this version reads {FORMAT}")
        if application or version or tables:
            raise OtherFormat(f"{self.path}: not a log but another application's database: use another file")
        return False

    def _create(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_log():
                for statement in SCHEMA.split(";"):
                    self._writer.execute(statement)
                self._writer.execute("INSERT INTO clock VALUES (0)")
                self._writer.execute("INSERT INTO identity VALUES (?)", (_new_id(),))
                self._writer.execute(f"PRAGMA application_id = {APPLICATION}")
                self._writer.execute(f"PRAGMA user_version = {FORMAT}")
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise


def _new_id() -> str:
    return f"log-{secrets.token_hex(8)}"
