"""The log of a directory, open in this process: one file, one writer, one lock, however many apps share it."""

from pathlib import Path
from typing import ClassVar

from traderecon.transport.log.log import Log
from traderecon.transport.log.worker_lock import WorkerLock
from traderecon.transport.log.writer import Writer

NAME = "log.db"


class OpenLog:
    """An open log. Only the thread of the event loop opens and releases it."""

    _open: ClassVar[dict[Path, "OpenLog"]] = {}

    def __init__(self, directory: Path) -> None:
        self.log = Log.open(directory / NAME)
        self.writer = Writer(self.log)
        self._directory = directory
        self._lock: WorkerLock | None = None
        self._users = 0

    @classmethod
    def of(cls, directory: Path, *, worker: bool) -> "OpenLog":
        """The open log; a worker must be the only process that is one. ``release`` it as often as it was asked for."""
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        found = cls._open.get(directory) or cls(directory)
        if worker and found._lock is None:
            found._lock = WorkerLock(directory)
        found._users += 1
        cls._open[directory] = found
        return found

    def release(self) -> None:
        """One user less; the last one closes it."""
        self._users -= 1
        if self._users == 0:
            del self._open[self._directory]
            self.writer.close()
            self.log.close()
            if self._lock is not None:
                self._lock.release()
