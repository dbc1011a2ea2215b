"""One worker per directory: a lock that the kernel releases when its holder dies in any way."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from traderecon.transport.log.errors import WorkerRunning

NAME = "worker.lock"


class WorkerLock:
    """Held from creation until ``release``, the end of the ``with`` block, or the end of the process.

    WorkerRunning, naming the other process, if another worker has the directory. The directory must exist. It uses a
    separate file, since closing any descriptor of the log's file would drop SQLite's locks on it.
    """

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, 0)
            os.write(self._file, b"%d\n" % os.getpid())
        except BlockingIOError:
            holder = os.read(self._file, 20).decode().strip() or "unknown"
            self.release()
            raise WorkerRunning(
                f"{directory}: a worker is already running on this directory, process {holder}. "
                "Stop it, or give this one another directory."
            ) from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Release the directory for another worker. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def holder(directory: Path) -> str | None:
    """The process id of the worker running on a directory; None without one. Creates nothing."""
    try:
        file = os.open(directory / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(file, 20).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(file)
    return None
