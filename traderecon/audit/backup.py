"""A backup: the database as of one moment in a single file, made while a worker writes.

backup(url, file) -> Backup         SQLite's online backup; the file gets its name only after an integrity check
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from traderecon.audit.database import open_for_audit
from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError, to_store_error
from traderecon.sink.database_id import CLEAR_ID

_OFFSETS = "SELECT topic, partition, next_offset, head FROM sink_offsets ORDER BY topic, partition"


class Head(msgspec.Struct, frozen=True):
    """The next offset of a partition in a file, and the head of its chain."""

    topic: str
    partition: int
    next_offset: int
    head: str


class Backup(msgspec.Struct, frozen=True):
    """The file, its size, and the heads of its chains."""

    file: str
    size_bytes: int
    heads: list[Head]


def backup(url: str, file: Path) -> Backup:
    """Copy the database to a new file. StoreError: the file exists or cannot be written, or the database is damaged."""
    require_new(file)
    part = file.with_name(file.name + ".part")
    try:
        with open_for_audit(url) as source:
            part.unlink(missing_ok=True)
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                source.backup(copy)
                # A single file without a WAL beside it: the first worker to open it switches it to WAL again.
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute(CLEAR_ID)  # its first worker generates an id: two databases must not share a sink's group
                report = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
                heads = [Head(*row) for row in copy.execute(_OFFSETS)]
        if report != ["ok"]:
            text = f"{url}: damaged ({report[0]}), and so would be the backup: see docs/audit.md, A damaged database"
            raise StoreError(Exit.CONFIG, text)
        publish_file(part, file)
    except sqlite3.Error as error:
        raise to_store_error(url, error) from error
    except OSError as error:
        raise StoreError(Exit.SOFTWARE, f"{file}: cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
    return Backup(str(file), file.stat().st_size, heads)


def require_new(file: Path) -> None:
    """StoreError if the file exists, or its directory does not: nothing is overwritten, no directory is created."""
    if not file.parent.is_dir():
        raise StoreError(Exit.USAGE, f"{file}: there is no directory {file.parent}: create it, or name another file")
    if file.exists():
        raise StoreError(Exit.USAGE, f"{file}: exists already and is not overwritten: name another, or move it away")


def publish_file(part: Path, file: Path) -> None:
    """Give a finished file its final name, durably. OSError."""
    for path in (part, part.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if path == part:
                os.fsync(descriptor)
                os.link(part, file)  # unlike a rename, fails if the name was taken meanwhile
                part.unlink()
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_heads(connection: Any) -> dict[tuple[str, int], Head]:
    """The heads in an open database."""
    return {(row[0], row[1]): Head(*row) for row in connection.execute(_OFFSETS)}
