"""The database as opened for an audit: read-only, with every cell as stored, even if it is not valid text.

with open_for_audit(url) as connection: ...          one transaction: the database as of one moment, while workers write
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from traderecon.addresses import sqlite_path
from traderecon.exit_codes import Exit
from traderecon.sink.database import BUSY_TIMEOUT_S, StoreError
from traderecon.sink.log_identity import TOPIC_PREFIX
from traderecon.sink.migration import head
from traderecon.sink.purge import ChainStart
from traderecon.topics import Topics, topics


@contextmanager
def open_for_audit(url: str) -> Iterator[sqlite3.Connection]:
    """A read-only connection, in a transaction. StoreError: no such file, or not a database of this version."""
    path = database_file(url)
    with closing(_connect(path)) as connection:
        connection.text_factory = decode_text
        connection.execute("BEGIN")
        require_tables(connection, path)
        yield connection


def database_file(url: str) -> Path:
    """The file of ``sqlite:///path``. StoreError: another kind of database, or no such file."""
    path = sqlite_path(url)
    if path is None:
        raise StoreError(Exit.CONFIG, "only SQLite files can be audited: write sqlite:///path")
    if not path.is_file():
        raise StoreError(Exit.UNREACHABLE, f"{path}: there is no such file; check TRADERECON_DATABASE_URL")
    return path


def require_tables(connection: sqlite3.Connection, path: Path) -> None:
    """StoreError if the tables are not those of this version; sqlite3.DatabaseError if the file is damaged."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        row = None
    if row is None or row[0] != head():
        found = "no tables of TradeRecon" if row is None else f"tables at migration {row[0]}"
        raise StoreError(
            Exit.CONFIG,
            f"{path}: has {found}, this version works with {head()}: run `traderecon db upgrade`, or name another",
        )


def decode_text(cell: bytes) -> str:
    """A text cell; bytes that are not UTF-8 are escaped, so that encoding restores them."""
    return cell.decode(errors="surrogateescape")


def bound_topics(connection: Any) -> Topics:
    """As ``sink.log_identity.bound_topics``, with a connection or cursor of sqlite3."""
    return topics(str(connection.execute(TOPIC_PREFIX).fetchone()[0]))


def beginnings(connection: sqlite3.Connection) -> "dict[tuple[str, int], tuple[int, str]]":
    """Partitions whose first messages had expired: their first offset, and the time from which they are complete."""
    rows = connection.execute("SELECT topic, partition, first_offset, complete_from FROM beginnings ORDER BY 1, 2")
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def chain_starts(connection: sqlite3.Connection) -> dict[tuple[str, int], ChainStart]:
    """Where chains start whose first rows were purged."""
    rows = connection.execute(
        "SELECT topic, partition, next_offset, head, rows, last_row FROM chain_starts ORDER BY 1, 2"
    )
    return {(row[0], row[1]): ChainStart(*row) for row in rows}


def is_text(cell: object) -> bool:
    """Whether a cell is valid text."""
    try:
        return isinstance(cell, str) and cell.encode() is not None
    except UnicodeEncodeError:
        return False


def bytes_of(cell: object) -> bytes:
    """The bytes of a text cell; b"" for any other."""
    return cell.encode(errors="surrogateescape") if isinstance(cell, str) else b""


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.resolve().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        wal = path.with_name(path.name + "-wal")
        if error.sqlite_errorname not in {"SQLITE_CANTOPEN", "SQLITE_READONLY"} or wal.exists():
            raise
        # On a read-only medium SQLite cannot create its -shm file; nothing writes there, so it is not needed.
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
