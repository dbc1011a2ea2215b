"""File permissions: whether every user of this machine can read a file."""

from pathlib import Path

_OTHERS_READ, _OTHERS_ENTER = 0o004, 0o001


def readable_by_everyone(file: Path) -> bool:
    """Whether the permissions of a file and of every directory above it let any user of this machine read it."""
    try:
        real = file.resolve(strict=True)
        reachable = all(folder.stat().st_mode & _OTHERS_ENTER for folder in real.parents)
        return reachable and bool(real.stat().st_mode & _OTHERS_READ)
    except OSError:
        return False


def exposure(file: Path) -> str:
    """The error text about a file that everyone can read: what was found, and what to do."""
    return f"every user of this machine can read {file}; run chmod o-r on it, or chmod o-x on its directory"
