"""Errors of a log. Each text names the file or topic, what was found and what to do.

None of them leaves partial changes: a transaction is committed as a whole or not at all.
"""

import sqlite3
from pathlib import Path
from sys import maxsize

SHM_WRITE_LOCK = 120
"""The byte of the ``-shm`` file that a writer locks. Source: SQLite, "WAL-mode File Format", 2.2.2."""


class LogError(Exception):
    """A request to the log failed."""


class DiskFull(LogError):
    """No space for a write."""


class ReadOnly(LogError):
    """The file can be read, not written."""


class Unreachable(LogError):
    """The file could not be opened."""


class Removed(LogError):
    """The open file was removed or replaced: writes to it would be lost."""


class Damaged(LogError):
    """The file is corrupt."""


class OtherFormat(LogError):
    """The file is not a log, or a log of another version."""


class Busy(LogError):
    """Another process held the lock for too long."""


class WorkerRunning(LogError):
    """Another worker is running on the directory."""


class TopicDiffers(LogError):
    """The topic exists with other settings than requested."""


class NoSuchPartition(LogError):
    """The topic or partition does not exist."""


class OffsetOutOfRange(LogError):
    """The partition does not have this offset yet, or no longer."""


class RecordRejected(LogError):
    """A record that is too large, or could not be read back as it was given."""


def to_log_error(path: Path, error: sqlite3.Error) -> Exception:
    """The ``LogError`` for an SQLite error; an error caused by wrong code (a closed log) is returned unchanged."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error
    finding = f"{path}: {error} ({error.sqlite_errorname})"
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DiskFull(f"{finding}: free some disk space. Nothing of this call was stored.")
        case sqlite3.SQLITE_IOERR if code in {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}:
            return DiskFull(f"{finding}: disk full, quota exceeded, or disk failure. Nothing of this call was stored.")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return ReadOnly(f"{finding}: this user must be able to write to the file and its directory.")
        case sqlite3.SQLITE_CANTOPEN:
            return Unreachable(f"{finding}: the directory must exist, and this user may need to write to it.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Damaged(f"{finding}: keep a copy of it, and start with an empty data directory or a backup.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            pid = _lock_holder(path)
            holder = f"process {pid}" if pid else "another process"
            return Busy(f"{finding}: {holder} holds the write lock. Check whether it is stopped or stuck.")
        case _:
            return LogError(finding)


def _lock_holder(path: Path) -> int | None:
    """The process that holds the write lock, as listed by the kernel (Linux).

    Opening and closing the file to ask would drop this process's own locks on it.
    """
    try:
        inode = Path(f"{path}-shm").stat().st_ino
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        # 7: POSIX  ADVISORY  WRITE 4711 fe:00:10019891 120 120
        *_, mode, pid, file, first, last = line.split()
        if mode == "WRITE" and int(file.rsplit(":", 1)[1]) == inode:
            span = range(int(first), maxsize if last == "EOF" else int(last) + 1)
            if SHM_WRITE_LOCK in span:
                return int(pid)
    return None
