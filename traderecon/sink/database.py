"""The SQLite file behind the sink: how every connection to it is opened, and what it guarantees.

WAL: readers never wait for writers. ``synchronous = NORMAL``: a commit survives the death of any process; a power
failure may undo the last transactions, each as a whole with its offset, so the sink reads those records again.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from traderecon.addresses import sqlite_path
from traderecon.exit_codes import Exit

BUSY_TIMEOUT_S = 30.0
"""How long to wait while another process writes."""
PAGE_BYTES = 16_384
"""Holds seven results of 2 kB; a page of 4 kB would hold one. An existing file keeps its page size."""
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 4_096
"""Page cache of one connection. There are several readers, and their pages are in the system's cache anyway."""
CHECKPOINT_PAGES = 2_048
"""SQLite moves the WAL into the database file when it has this many pages."""
FINAL_CHECKPOINT_WAIT_MS = 2_000
"""How long the checkpoint at closing waits for other readers and writers."""
WAL_BYTES = 256 * 1024**2
"""A WAL longer than this, because of a long-running reader, is checkpointed and truncated by the sink."""
WAL_LIMIT_BYTES = 64 * 1024**2
"""When the WAL restarts, SQLite truncates it to this size."""
TRUNCATE_WAIT_MS = 250
"""How long the truncation waits for readers; the sink is blocked meanwhile."""
TRUNCATE_EVERY_S = 10.0
RETRY_S = 0.01
"""Delay between attempts where SQLite's own busy timeout does not apply."""

WRITER = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA cache_size = -{WRITER_CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
)
READER = ("PRAGMA query_only = ON", f"PRAGMA cache_size = -{READER_CACHE_KIB}")

Inode = tuple[int, int]
"""A file's device and its number there."""
OpenFiles = Mapping[str, Inode | None]
"""Of a connection: the database and its WAL, by path."""

_UNREACHABLE = {"SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_AUTH"}
_NO_DATABASE = {"SQLITE_NOTADB", "SQLITE_CORRUPT"}


class StoreError(Exception):
    """A database that cannot be used: what was found, where, and what to do. ``code``: the exit code this ends in.

    ``transient``: another process holds the database for now; the call has had no effect and may be repeated.
    """

    def __init__(self, code: int, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.transient = transient


def open_engine(url: str) -> Engine:
    """The engine on ``sqlite:///path``; the directory is created, and the file if it does not exist.

    With ``execution_options(writes=True)`` a transaction takes the write lock when it begins. StoreError: the database
    cannot be reached (4) or used by this version (78).
    """
    sqlite_url = _sqlite_url(url)
    path = sqlite_url.database or ""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            Exit.UNREACHABLE,
            f"{path}: its directory cannot be created ({error.strerror}): check TRADERECON_DATABASE_URL",
        ) from None
    try:
        _enable_wal(path)
    except sqlite3.Error as error:
        raise to_store_error(path, error) from error
    return _engine(sqlite_url, WRITER)


def open_existing_engine(url: str) -> Engine:
    """As ``open_engine``, for commands that only inspect a database. StoreError (4): there is no such file."""
    path = _sqlite_url(url).database or ""
    if not Path(path).is_file():
        raise StoreError(
            Exit.UNREACHABLE,
            f"{path}: there is no database. The first worker or `traderecon db upgrade` creates it; if one should be "
            "here, check TRADERECON_DATA_DIR and TRADERECON_DATABASE_URL",
        )
    return open_engine(url)


def reader_engine(engine: Engine, connections: int | None = None) -> Engine:
    """Another engine on the same file, whose connections are read-only and have a small cache.

    ``connections``: the most there may be; None: SQLAlchemy's default, a pool of 5 with an overflow of 10.
    """
    pool = {} if connections is None else {"pool_size": connections, "max_overflow": 0}
    reading = _engine(engine.url, READER, **pool)
    _reconnect_if_moved(reading)
    return reading


def checkpoint_wal(engine: Engine, wait_ms: int = FINAL_CHECKPOINT_WAIT_MS) -> None:
    """Move all committed pages from the WAL into the database file, which can then be copied alone; truncate the WAL.

    Readers of older pages block it: after ``wait_ms`` the rest stays in the WAL. Only the writer may do this: older
    versions of SQLite corrupt the file when one connection checkpoints while another writes.
    """
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {wait_ms}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1_000:.0f}")


def file_path(url: str) -> Path:
    """The file of ``sqlite:///path``. StoreError: the URL names none."""
    return Path(_sqlite_url(url).database or "")


def wal_bytes(path: str | Path) -> int:
    """The size of the WAL beside the file; 0 if there is none."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except OSError:
        return 0


def to_store_error(where: str | None, error: BaseException | None) -> StoreError:
    """An error of SQLite as a StoreError with its exit code; ``where`` is the file."""
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    if name == "SQLITE_BUSY":
        return StoreError(
            Exit.UNREACHABLE,
            f"{where}: locked by another process for {BUSY_TIMEOUT_S:.0f} s ({error}): find the process that holds it",
            transient=True,
        )
    if name == "SQLITE_FULL":
        return StoreError(Exit.SOFTWARE, f"{where}: its disk is full ({error}): free some space, then restart")
    if name in _NO_DATABASE:
        return StoreError(
            Exit.CONFIG, f"{where}: not a readable database ({error}): name another file, or move this one away"
        )
    if name in _UNREACHABLE:
        return StoreError(
            Exit.UNREACHABLE, f"{where}: cannot be opened, read or written ({error}): check TRADERECON_DATABASE_URL"
        )
    return StoreError(Exit.SOFTWARE, f"{where}: {error}")


def unreadable_row(row: str, error: object) -> StoreError:
    """A stored row cannot be read, so the database was damaged or changed: no record that comes now is to blame."""
    return StoreError(
        Exit.CONFIG,
        f"{row}, as stored, cannot be read ({error}): the database was damaged or changed. Run `traderecon audit "
        "verify`, then restore a backup or run `traderecon db rebuild`",
    )


def _sqlite_url(url: str) -> URL:
    path = sqlite_path(url)
    if path is None and url.startswith("sqlite:"):
        raise StoreError(Exit.CONFIG, f"{url} names no file, but other processes must read it: write sqlite:///path")
    if path is None:
        raise StoreError(
            Exit.CONFIG,
            "only SQLite databases are supported: set TRADERECON_DATABASE_URL to sqlite:///path, or leave it empty",
        )
    return URL.create("sqlite", database=str(path))


def require_in_place(connection: Connection, path: str) -> OpenFiles:
    """The file and the WAL that a connection has open. StoreError: another has their name, or none.

    To be called within a transaction: then both are open.
    """
    files = _note_open_files(connection.info, path)
    if reason := moved(files, path):
        raise StoreError(Exit.UNREACHABLE, reason)
    return files


def moved(files: OpenFiles, path: str) -> str | None:
    """Why files that were open are not usable; None: they are still in place."""
    for name, inode in files.items():
        if inode is None or _inode(name) != inode:
            return (
                f"{name} was removed or replaced while in use: put the database back, or remove what is left of "
                f"{path}, then restart. The sink reads what is missing from the topics"
            )
    return None


def _engine(url: URL, options: Sequence[str], **pool: int) -> Engine:
    path = url.database or ""
    # mode=rw never creates the file: a removed database must not come back as an empty one.
    uri = f"{Path(path).absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        # The driver starts no transactions of its own; ``_begin`` does.
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        for option in options:
            connection.execute(option)
        return connection

    engine = create_engine(url, pool_use_lifo=True, creator=connect, **pool)
    event.listen(engine, "begin", _begin)
    return engine


def _reconnect_if_moved(engine: Engine) -> None:
    """Make read-only connections reconnect when another file has taken the name of the one they have open."""
    path = engine.url.database or ""

    def on_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        if reason := moved(record.info.get("files", {}), path):
            raise DisconnectionError(reason)  # the pool reconnects

    def on_checkin(_connection: Any, record: Any) -> None:
        _note_open_files(record.info, path)

    event.listen(engine, "checkout", on_checkout)
    event.listen(engine, "checkin", on_checkin)


def _note_open_files(info: dict[Any, Any], path: str) -> OpenFiles:
    """The files a connection has open, as noted the first time."""
    files: OpenFiles = info.setdefault("files", {name: _inode(name) for name in (path, f"{path}-wal")})
    return files


def _inode(path: str) -> Inode | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _enable_wal(path: str) -> None:
    """Switch the file to WAL mode for good. If another process is doing the same, SQLite fails instead of waiting."""
    until = monotonic() + BUSY_TIMEOUT_S
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        while True:
            try:
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > until:
                    raise
                sleep(RETRY_S)
            else:
                return
