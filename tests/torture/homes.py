"""Homes of workers: a directory for each, or the ones that ``traderecon worker`` takes in a shared data directory."""

import fcntl
import os
import shutil
from pathlib import Path

from torture.seen import Missed

LOCK, NAME = "worker.lock", "name"


class OwnHome:
    """A directory that nobody else has; the worker is known by the name it was given."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name, self._directory = name, directory

    def instance(self, pid: int) -> str:
        """The name."""
        return self._name

    def wipe(self, pid: int) -> int:
        """Remove the directory; how many files were in it."""
        return removed(self._directory)


class SharedHome:
    """``worker-<k>`` in the data directory that all workers share: whose process id stands in its lock has it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def instance(self, pid: int) -> str:
        """``worker-`` and the name in the home that the process has taken."""
        home = self._home(pid)
        return f"worker-{text_of(home / NAME)}" if home is not None and text_of(home / NAME) else ""

    def wipe(self, pid: int) -> int:
        """Remove the home of the dead process, name and all, unless another one has taken it."""
        home = self._home(pid)
        if home is None:
            raise Missed(f"process {pid} has left no home: another worker has it")
        lock = os.open(home / LOCK, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return removed(home)
        except BlockingIOError:
            raise Missed(f"another worker has just taken {home.name}") from None
        finally:
            os.close(lock)

    def _home(self, pid: int) -> Path | None:
        homes = sorted(self._data_dir.glob("worker-*"))
        return next((home for home in homes if text_of(home / LOCK) == str(pid)), None)


def removed(directory: Path) -> int:
    """Remove a directory; how many files were in it."""
    files = sum(path.is_file() for path in directory.rglob("*"))
    if directory.exists():
        shutil.rmtree(directory)
    return files


def text_of(path: Path) -> str:
    """What stands in a small file; nothing where there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
