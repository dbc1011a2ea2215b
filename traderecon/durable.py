"""Small files that must survive a power cut: written to a temporary file, synced, then renamed.

replace(path, content)          after a power cut the file has the old content or the new, never a mixture
"""

import os
import uuid
from pathlib import Path

PRIVATE = 0o600
"""File mode: only the user who runs the process can read and write."""


def replace(path: Path, content: bytes) -> None:
    """Write a file durably. OSError: it cannot be written, and is unchanged."""
    temporary = _write_temporary(path, content)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def create(path: Path, content: bytes) -> None:
    """Create a file durably. FileExistsError: it exists already; OSError: it cannot be written."""
    temporary = _write_temporary(path, content)
    try:
        os.link(temporary, path)  # unlike rename, link fails if the file exists
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def private() -> None:
    """Make every file and directory that this process creates from now on accessible to its user only."""
    os.umask(0o077)


def sync_directory(directory: Path) -> None:
    """Sync the entries of a directory: created and renamed files then survive a power cut. OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_temporary(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
