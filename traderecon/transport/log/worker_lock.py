"""One worker per directory: a lock the kernel takes back when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from traderecon.transport.log.errors import WorkerRunning

NAME = "worker.lock"


class WorkerLock:
    """Held from when it is made until ``release``, or until the process ends; as a context, until it is left.

    WorkerRunning, with the process id of the first, when another has the directory. The directory must exist.
    A lock of its own file: SQLite's locks on the log would be lost with the first of its files that is closed.
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
                f"{directory}: a worker has it already, process {holder}. "
                "Stop that one, or give this one a directory of its own."
            ) from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Let another worker have the directory. A second time does nothing."""
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
    """The process id of the worker that has a directory; None where there is none. Nothing is created."""
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
