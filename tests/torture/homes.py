"""Homes of workers: one directory per worker, or those that ``traderecon worker`` locks in a shared data directory."""

import fcntl
import os
import shutil
from pathlib import Path

from torture.waiting import Missed

LOCK_FILE, NAME_FILE = "worker.lock", "name"


class OwnHome:
    """A directory of one worker, whose name is given."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name, self._directory = name, directory

    def instance(self, pid: int) -> str:
        """The name."""
        return self._name

    def wipe(self, pid: int) -> int:
        """Remove the directory; returns how many files were in it."""
        return remove_tree(self._directory)


class SharedHome:
    """``worker-<k>`` in the shared data directory: it belongs to the process whose id is in its lock file."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def instance(self, pid: int) -> str:
        """``worker-`` and the name stored in the home of the process."""
        home = self._home(pid)
        return f"worker-{read_text(home / NAME_FILE)}" if home is not None and read_text(home / NAME_FILE) else ""

    def wipe(self, pid: int) -> int:
        """Remove the home of the dead process with its name, unless another process has it."""
        home = self._home(pid)
        if home is None:
            raise Missed(f"process {pid} has left no home: another worker has it")
        lock = os.open(home / LOCK_FILE, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return remove_tree(home)
        except BlockingIOError:
            raise Missed(f"another worker has just taken {home.name}") from None
        finally:
            os.close(lock)

    def _home(self, pid: int) -> Path | None:
        homes = sorted(self._data_dir.glob("worker-*"))
        return next((home for home in homes if read_text(home / LOCK_FILE) == str(pid)), None)


def remove_tree(directory: Path) -> int:
    """Remove a directory; returns how many files were in it."""
    files = sum(path.is_file() for path in directory.rglob("*"))
    if directory.exists():
        shutil.rmtree(directory)
    return files


def read_text(path: Path) -> str:
    """The text of a small file; empty if there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
