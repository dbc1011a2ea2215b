"""The SQLite file behind the sink: how it is opened, and what it promises. Everybody who opens it does it here.

WAL: who reads never waits for who writes. ``synchronous = NORMAL``: a commit survives the death of any process; a power
cut may take the last ones, whole, and their offsets with them, so the sink reads those records again.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from traderecon.addresses import sqlite_path
from traderecon.exit_codes import Exit

PATIENCE_S = 30.0
"""How long to wait for another process that writes."""
PAGE_BYTES = 16_384
"""Seven results of 2 kB fill such a page; in one of 4 kB a single one would lie. A file keeps what it began with."""
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 4_096
"""The pages a connection keeps. There are several readers, and what they read is in the system's cache all the same."""
CHECKPOINT_PAGES = 2_048
"""The log of the file is moved into it when it has so many."""
GATHER_MS = 2_000
"""How long the last move waits for who still reads or writes."""
WAL_BYTES = 256 * 1024**2
"""A log that is longer, because somebody read for long, is moved into the file and cut to nothing: see ``shrunk``."""
WAL_KEPT_BYTES = 64 * 1024**2
"""Of a log that is begun anew SQLite keeps no more than this."""
SHRINK_MS = 250
"""How long that waits for who still reads: the sink stands still meanwhile."""
SHRINK_EVERY_S = 10.0
AGAIN_S = 0.01
"""How soon SQLite is asked again where its own waiting does not apply."""

WRITER = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA cache_size = -{WRITER_CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}",
)
READER = ("PRAGMA query_only = ON", f"PRAGMA cache_size = -{READER_CACHE_KIB}")

_UNREACHABLE = {"SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_AUTH"}
_NOT_OURS = {"SQLITE_NOTADB", "SQLITE_CORRUPT"}


class StoreError(Exception):
    """A database that cannot be used: what was found, where, and what to do. ``code``: the exit code this ends in.

    ``passes``: somebody else has it, and will let go of it; nothing of the call was kept.
    """

    def __init__(self, code: int, sentence: str, *, passes: bool = False) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.passes = passes


def opened(url: str) -> Engine:
    """The engine on ``sqlite:///path``, its directory made; the file need not be there yet.

    A transaction takes the right to write at once where ``execution_options(writes=True)`` asks for it. StoreError: it
    cannot be reached (4), or is none this version can use (78).
    """
    place = _place(url)
    try:
        Path(place.database or "").parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            Exit.UNREACHABLE, f"{place.database}: its directory cannot be made ({error.strerror})"
        ) from None
    try:
        _write_ahead(place.database or "")
    except sqlite3.Error as error:
        raise explained(place.database, error) from error
    return _engine(place, WRITER)


def existing(url: str) -> Engine:
    """As ``opened``, for whoever asks what a database has: StoreError (4) where there is no file, none is made."""
    path = _place(url).database or ""
    if not Path(path).is_file():
        raise StoreError(
            Exit.UNREACHABLE,
            f"{path}: there is no database. The first worker or `traderecon db upgrade` makes it; if there should be "
            "one, check TRADERECON_DATA_DIR and TRADERECON_DATABASE_URL",
        )
    return opened(url)


def readers(engine: Engine, connections: int | None = None) -> Engine:
    """Another engine on the same file: its connections cannot write, and keep few pages.

    ``connections``: so many and no more; None: as many as SQLAlchemy gives by default, 5 and 10 more for a while.
    """
    pool = {} if connections is None else {"pool_size": connections, "max_overflow": 0}
    reading = _engine(engine.url, READER, **pool)
    _follow(reading)
    return reading


def gathered(engine: Engine, wait_ms: int = GATHER_MS) -> None:
    """Move what was committed from the file's log into the file, which can be copied alone then, and cut the log off.

    Who still reads what was there before holds it up: after ``wait_ms`` the rest stays in the log. Only who writes
    may do this: a second connection that moves the log while another writes is what older SQLites are damaged by.
    """
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {wait_ms}")
        try:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {PATIENCE_S * 1_000:.0f}")


def file_path(url: str) -> Path:
    """The file of ``sqlite:///path``. StoreError: it names none."""
    return Path(_place(url).database or "")


def wal_bytes(path: str | Path) -> int:
    """How long the log beside the file is; 0 where there is none."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except OSError:
        return 0


def explained(where: str | None, error: BaseException | None) -> StoreError:
    """What the database said, in a sentence, with the exit code it ends in."""
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    if name == "SQLITE_BUSY":
        return StoreError(
            Exit.UNREACHABLE,
            f"{where}: another process has written for {PATIENCE_S:.0f} s without end ({error})",
            passes=True,
        )
    if name == "SQLITE_FULL":
        return StoreError(Exit.SOFTWARE, f"{where}: no room on its disk ({error}): make room, and start again")
    if name in _NOT_OURS:
        return StoreError(
            Exit.CONFIG, f"{where}: no database that can be read ({error}): name another file, or move this one away"
        )
    if name in _UNREACHABLE:
        return StoreError(Exit.UNREACHABLE, f"{where}: cannot be opened, read or written ({error})")
    return StoreError(Exit.SOFTWARE, f"{where}: {error}")


def _place(url: str) -> URL:
    path = sqlite_path(url)
    if path is None and url.startswith("sqlite:"):
        raise StoreError(Exit.CONFIG, f"{url} names no file, and others must be able to read it: write sqlite:///path")
    if path is None:
        raise StoreError(
            Exit.CONFIG,
            "this version keeps its database in SQLite only: set TRADERECON_DATABASE_URL to sqlite:///path, or leave "
            "it empty",
        )
    return URL.create("sqlite", database=str(path))


def require_in_place(connection: Connection, path: str) -> None:
    """StoreError where the file that a connection has open is not the one of that name any more, nor the log beside it.

    To be asked within a transaction: then both are open.
    """
    _note(connection.info, path)
    if said := _moved(connection.info, path):
        raise StoreError(Exit.UNREACHABLE, said)


def _engine(place: URL, options: Sequence[str], **pool: int) -> Engine:
    path = place.database or ""
    # Never made here: a file that was removed would come back empty, and look like a database.
    uri = f"{Path(path).absolute().as_uri()}?mode=rw"

    def connected() -> sqlite3.Connection:
        # The driver begins no transaction of its own: ``_begin`` says when, and which.
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        for option in options:
            connection.execute(option)
        return connection

    engine = create_engine(place, pool_use_lifo=True, creator=connected, **pool)
    event.listen(engine, "begin", _begin)
    return engine


def _follow(engine: Engine) -> None:
    """Have connections that only read go on with the file that has the name now, when it is another one."""
    path = engine.url.database or ""

    def lent(_connection: Any, record: Any, _proxy: Any) -> None:
        if said := _moved(record.info, path):
            raise DisconnectionError(said)  # the pool connects anew

    def returned(_connection: Any, record: Any) -> None:
        _note(record.info, path)

    event.listen(engine, "checkout", lent)
    event.listen(engine, "checkin", returned)


def _note(info: dict[Any, Any], path: str) -> None:
    """Note once which files a connection has open."""
    info.setdefault("files", {name: _inode(name) for name in (path, f"{path}-wal")})


def _moved(info: dict[Any, Any], path: str) -> str | None:
    """What has become of the files that a connection has open; None: they are where they were."""
    for name, inode in info.get("files", {}).items():
        now = _inode(name)
        if now is None or now != inode:
            return (
                f"{name} was {'removed' if now is None else 'replaced'} while it was in use: put the database back, or "
                f"remove what is left of {path}, and start again. What it lacks then, the sink reads from the topics"
            )
    return None


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _write_ahead(path: str) -> None:
    """Turn the file to WAL, where it stays. Another process may be doing the same: for that SQLite does not wait."""
    until = monotonic() + PATIENCE_S
    with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as connection:
        while True:
            try:
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > until:
                    raise
                sleep(AGAIN_S)
            else:
                return
