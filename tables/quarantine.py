"""The quarantine of a store: files that cannot be read are put aside, so that the changelog can say it all again.

    condemn(path, why)  ->  path.condemned          while the store is open: whoever opens it next puts it aside
    put_aside(path)     ->  path.quarantine         the last one of each partition is kept, to be looked at

RocksDB says what it cannot read in words only.
"""

import shutil
from pathlib import Path

from traderecon.durable import replace

_UNREADABLE = ("Corruption", "IO error: No such file or directory")
_FILES = "Too many open files"


def unreadable(error: BaseException) -> bool:
    """Whether RocksDB found files damaged or missing; not where a disk is full or a file is locked."""
    return str(error).startswith(_UNREADABLE) and not without_files(error)


def without_files(error: BaseException) -> bool:
    """Whether this process may open no further file."""
    return _FILES in str(error)


def condemn(path: Path, said: str) -> None:
    """Have the store of this path put aside when it is opened next. OSError: that cannot be noted."""
    replace(_mark(path), f"{said}\n".encode())


def condemned(path: Path) -> str | None:
    """What was said when the store was condemned; None where it was not."""
    mark = _mark(path)
    return mark.read_text(encoding="utf-8").strip() if mark.exists() else None


def put_aside(path: Path) -> Path:
    """Move a store out of the way, in place of the one that was put aside before it; gives where it is now."""
    aside = path.with_name(f"{path.name}.quarantine")
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    _mark(path).unlink(missing_ok=True)
    return aside


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.condemned")
