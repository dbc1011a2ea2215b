"""Quarantine: an unreadable store is moved away and rebuilt from the changelog.

    condemn(path, reason)     ->  path.condemned       marks an open store to be quarantined when it is opened next
    move_to_quarantine(path)  ->  path.quarantine      the last one of each partition is kept for inspection

RocksDB's errors can only be told apart by their texts.
"""

import shutil
from pathlib import Path

from traderecon.durable import replace

_UNREADABLE = ("Corruption", "IO error: No such file or directory")
_TOO_MANY_FILES = "Too many open files"


def unreadable(error: BaseException) -> bool:
    """Whether RocksDB found files damaged or missing; not for a full disk or a locked file."""
    return str(error).startswith(_UNREADABLE) and not too_many_files(error)


def too_many_files(error: BaseException) -> bool:
    """Whether the process has reached its limit of open files."""
    return _TOO_MANY_FILES in str(error)


def condemn(path: Path, reason: str) -> None:
    """Mark a store to be quarantined when it is opened next. OSError if the mark cannot be written."""
    replace(_mark(path), f"{reason}\n".encode())


def condemned_reason(path: Path) -> str | None:
    """The reason a store was condemned; None if it was not."""
    mark = _mark(path)
    return mark.read_text(encoding="utf-8").strip() if mark.exists() else None


def move_to_quarantine(path: Path) -> Path:
    """Move a store to its quarantine, replacing an earlier one; return the new path."""
    quarantine = path.with_name(f"{path.name}.quarantine")
    if path.exists():
        shutil.rmtree(quarantine, ignore_errors=True)
        path.rename(quarantine)
    _mark(path).unlink(missing_ok=True)
    return quarantine


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.condemned")
