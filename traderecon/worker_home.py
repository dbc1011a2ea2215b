"""The home of a worker: a directory of its own in the data directory, locked, with its name in the group.

The lowest free ``worker-<k>`` is taken, so a worker that comes back finds its tables, and several share one data
directory. The name is made once per directory: it is what a broker knows the worker by when it comes back in time.
"""

import uuid
from itertools import count
from pathlib import Path
from typing import NamedTuple

from traderecon.transport.log import WorkerLock, WorkerRunning

NAME = "name"


class WorkerHome(NamedTuple):
    """The directory, held by its lock for as long as this process lives, and the worker's name."""

    directory: Path
    name: str
    lock: WorkerLock


def take_home(data_dir: Path) -> WorkerHome:
    """The lowest free home in the data directory, made if missing. OSError: it cannot be made or written."""
    for number in count():
        directory = data_dir / f"worker-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock = WorkerLock(directory)
        except WorkerRunning:
            continue
        name = directory / NAME
        if not name.exists():
            name.write_text(f"{uuid.uuid4().hex[:12]}\n")
        return WorkerHome(directory, f"worker-{name.read_text().strip()}", lock)
    raise AssertionError("numbers do not end")
