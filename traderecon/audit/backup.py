"""A backup: the database as of one moment, in one file, while a worker writes to it.

backup(url, file) -> Backup         SQLite's online backup, looked through, and only then under its name
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from traderecon.audit.database import looked_at
from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError, explained
from traderecon.sink.database_id import FORGET

_OFFSETS = "SELECT topic, partition, next_offset, head FROM sink_offsets ORDER BY topic, partition"


class Head(msgspec.Struct, frozen=True):
    """Where a partition stands in a file: the next offset, and the head of its chain."""

    topic: str
    partition: int
    next_offset: int
    head: str


class Backup(msgspec.Struct, frozen=True):
    """The file, its size, and the heads of what is in it."""

    file: str
    size_bytes: int
    heads: list[Head]


def backup(url: str, file: Path) -> Backup:
    """Copy the database to a new file. StoreError: it is there, cannot be written, or the database is damaged."""
    require_new(file)
    part = file.with_name(file.name + ".part")
    try:
        with looked_at(url) as source:
            part.unlink(missing_ok=True)
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                source.backup(copy)
                # One file, with nothing beside it: whoever opens it as a database turns it to WAL again.
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute(FORGET)  # whoever opens it first draws an id: two databases must not share a sink's group
                said = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
                heads = [Head(*row) for row in copy.execute(_OFFSETS)]
        if said != ["ok"]:
            text = f"{url}: damaged ({said[0]}), and so would be the backup: see docs/audit.md, A damaged database"
            raise StoreError(Exit.CONFIG, text)
        settle(part, file)
    except sqlite3.Error as error:
        raise explained(url, error) from error
    except OSError as error:
        raise StoreError(Exit.SOFTWARE, f"{file}: cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
    return Backup(str(file), file.stat().st_size, heads)


def require_new(file: Path) -> None:
    """StoreError where a file is there already, or its directory is not: nothing is overwritten, or made on the way."""
    if not file.parent.is_dir():
        raise StoreError(Exit.USAGE, f"{file}: there is no directory {file.parent}: make it, or name another")
    if file.exists():
        raise StoreError(Exit.USAGE, f"{file}: is there already, and is not overwritten: name another, or move it away")


def settle(part: Path, file: Path) -> None:
    """Give a finished file its name, for good. OSError: it cannot."""
    for path in (part, part.parent):
        opened = os.open(path, os.O_RDONLY)
        try:
            if path == part:
                os.fsync(opened)
                os.link(part, file)  # never over a file that came meanwhile
                part.unlink()
            else:
                os.fsync(opened)
        finally:
            os.close(opened)


def heads(connection: Any) -> dict[tuple[str, int], Head]:
    """The heads in an open database."""
    return {(row[0], row[1]): Head(*row) for row in connection.execute(_OFFSETS)}
