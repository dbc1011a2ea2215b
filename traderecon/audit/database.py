"""The database as an auditor opens it: nothing can be written, and every cell is what lies in it, readable or not.

with looked_at(url) as connection: ...          one transaction: the database as of one moment, while workers write
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from traderecon.addresses import sqlite_path
from traderecon.exit_codes import Exit
from traderecon.sink.database import PATIENCE_S, StoreError
from traderecon.sink.migration import head
from traderecon.sink.purge import ChainStart


@contextmanager
def looked_at(url: str) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, in a transaction. StoreError: no such file, or no database of this version."""
    path = file_of(url)
    with closing(_connected(path)) as connection:
        connection.text_factory = text
        connection.execute("BEGIN")
        require_tables(connection, path)
        yield connection


def file_of(url: str) -> Path:
    """The file of ``sqlite:///path``. StoreError: another kind of database, or there is none."""
    path = sqlite_path(url)
    if path is None:
        raise StoreError(Exit.CONFIG, "the chains of a SQLite file are what can be walked: write sqlite:///path")
    if not path.is_file():
        raise StoreError(Exit.UNREACHABLE, f"{path}: there is no such file; TRADERECON_DATABASE_URL names it")
    return path


def require_tables(connection: sqlite3.Connection, path: Path) -> None:
    """StoreError where the tables are not those of this version; sqlite3.DatabaseError where the file is damaged."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        row = None
    if row is None or row[0] != head():
        found = "no tables of ours" if row is None else f"tables at migration {row[0]}"
        raise StoreError(
            Exit.CONFIG,
            f"{path}: has {found}, this version works with {head()}: run `traderecon db upgrade`, or name another",
        )


def text(cell: bytes) -> str:
    """A cell of text, whatever its bytes are: what is no UTF-8 is kept, and gives the same bytes again."""
    return cell.decode(errors="surrogateescape")


def beginnings(connection: sqlite3.Connection) -> "dict[tuple[str, int], tuple[int, str]]":
    """Where the history of a partition begins, of those whose first messages had expired: offset, and since when."""
    found = connection.execute("SELECT topic, partition, first_offset, complete_from FROM beginnings ORDER BY 1, 2")
    return {(row[0], row[1]): (row[2], row[3]) for row in found}


def chain_starts(connection: sqlite3.Connection) -> dict[tuple[str, int], ChainStart]:
    """Where chains begin behind the rows that were purged."""
    found = connection.execute(
        "SELECT topic, partition, next_offset, head, rows, last_row FROM chain_starts ORDER BY 1, 2"
    )
    return {(row[0], row[1]): ChainStart(*row) for row in found}


def is_text(cell: object) -> bool:
    """Whether a cell is text, and can be told."""
    try:
        return isinstance(cell, str) and cell.encode() is not None
    except UnicodeEncodeError:
        return False


def bytes_of(cell: object) -> bytes:
    """A cell's bytes; b"" for one that is no text."""
    return cell.encode(errors="surrogateescape") if isinstance(cell, str) else b""


def _connected(path: Path) -> sqlite3.Connection:
    place = path.resolve().as_uri()
    connection = sqlite3.connect(f"{place}?mode=ro", uri=True, timeout=PATIENCE_S, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        beside = path.with_name(path.name + "-wal")
        if error.sqlite_errorname not in {"SQLITE_CANTOPEN", "SQLITE_READONLY"} or beside.exists():
            raise
        # On a medium that takes no file beside it: nobody writes there, so nothing has to be kept apart.
        return sqlite3.connect(f"{place}?mode=ro&immutable=1", uri=True, isolation_level=None)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
