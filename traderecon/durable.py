"""Small files that must survive a power cut: written whole and synced beside the old one, then put in its place.

replace(path, content)          after a power cut there is the old content or the new one, never a part of it
"""

import os
import uuid
from pathlib import Path

PRIVATE = 0o600
"""Who may read what we write: nobody but who runs us."""


def replace(path: Path, content: bytes) -> None:
    """Give a file this content, for good. OSError: it cannot be written, and is as it was."""
    write_batch = _draft(path, content)
    try:
        write_batch.replace(path)
    except OSError:
        write_batch.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def create(path: Path, content: bytes) -> None:
    """Make a new file with this content, for good. FileExistsError: it is there already; OSError."""
    write_batch = _draft(path, content)
    try:
        os.link(write_batch, path)  # unlike a rename it fails where another was first
    finally:
        write_batch.unlink(missing_ok=True)
    sync_directory(path.parent)


def private() -> None:
    """Have every file and directory that this process makes from now on belong to nobody but who runs it."""
    os.umask(0o077)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. OSError."""
    opened = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _draft(path: Path, content: bytes) -> Path:
    write_batch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    file = os.open(write_batch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError:
        write_batch.unlink(missing_ok=True)
        raise
    return write_batch
