"""The log of a directory as opened in this process: one file, writer and lock, shared by all apps."""

from pathlib import Path
from typing import ClassVar

from traderecon.transport.log.log import Log
from traderecon.transport.log.worker_lock import WorkerLock
from traderecon.transport.log.writer import Writer

NAME = "log.db"


class OpenLog:
    """An open log with a reference count. Opened and released only by the event loop's thread."""

    _open: ClassVar[dict[Path, "OpenLog"]] = {}

    def __init__(self, directory: Path) -> None:
        self.log = Log.open(directory / NAME)
        self.writer = Writer(self.log)
        self._directory = directory
        self._lock: WorkerLock | None = None
        self._users = 0

    @classmethod
    def of(cls, directory: Path, *, worker: bool) -> "OpenLog":
        """Open the log, or share the open one. ``worker`` takes the worker lock. Each call needs one ``release``."""
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        opened = cls._open.get(directory) or cls(directory)
        if worker and opened._lock is None:
            opened._lock = WorkerLock(directory)
        opened._users += 1
        cls._open[directory] = opened
        return opened

    def release(self) -> None:
        """Remove one user; close the log after the last."""
        self._users -= 1
        if self._users == 0:
            del self._open[self._directory]
            self.writer.close()
            self.log.close()
            if self._lock is not None:
                self._lock.release()
