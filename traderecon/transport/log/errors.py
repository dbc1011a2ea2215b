"""What a log can refuse, each with a sentence: which file or topic, what was found, what to do.

After any of them the log is as it was before the call: a transaction is kept whole or not at all.
"""

import sqlite3
from pathlib import Path
from sys import maxsize

SHM_WRITE_LOCK = 120
"""The byte of the ``-shm`` file that a writer locks. Source: SQLite, "WAL-mode File Format", 2.2.2."""


class LogError(Exception):
    """The log could not do what was asked."""


class DiskFull(LogError):
    """There was no room for a write."""


class ReadOnly(LogError):
    """The file may be read, not written."""


class Unreachable(LogError):
    """The file could not be opened."""


class Removed(LogError):
    """The file was taken away, or another one put in its place: what is written goes nowhere."""


class Damaged(LogError):
    """The file does not say what was written into it."""


class OtherFormat(LogError):
    """The file is no log, or a log of another version."""


class Busy(LogError):
    """Another process kept the log to itself for too long."""


class WorkerRunning(LogError):
    """Another worker has the directory."""


class TopicDiffers(LogError):
    """The topic exists otherwise than it was asked for."""


class NoSuchPartition(LogError):
    """The topic has no such partition, or there is no such topic."""


class OffsetOutOfRange(LogError):
    """The partition has nothing at this offset any more, or not yet."""


class RecordRejected(LogError):
    """A record the log could not give back as it came, or not within its bounds."""


def explained(path: Path, error: sqlite3.Error) -> Exception:
    """The error in our words. What says that the code is wrong (a closed log) comes back as it is."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error
    found = f"{path}: {error} ({error.sqlite_errorname})"
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DiskFull(f"{found}: make room. Nothing of this call was kept.")
        case sqlite3.SQLITE_IOERR if code in {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}:
            return DiskFull(f"{found}: no room, over a quota, or the disk fails. Nothing of this call was kept.")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return ReadOnly(f"{found}: this user must be able to write the file and its directory.")
        case sqlite3.SQLITE_CANTOPEN:
            return Unreachable(f"{found}: the directory must exist, and this user may have to write in it.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Damaged(f"{found}: keep a copy of it, and begin with an empty data directory or a backup.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            pid = _writer(path)
            who = f"process {pid}" if pid else "another process"
            return Busy(f"{found}: {who} did not let go of it. Is it stopped or stuck?")
        case _:
            return LogError(found)


def _writer(path: Path) -> int | None:
    """The process that holds the write lock, where the kernel tells (Linux).

    It is read from a list: opening the file to ask, and closing it again, would drop the locks this process has on it.
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
