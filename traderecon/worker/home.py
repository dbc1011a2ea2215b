"""The home of a worker: a directory of its own in the data directory, locked, with its name in the group.

The lowest free ``worker-<k>`` is taken, so a worker that comes back finds its tables, and several share one data
directory. The name is made once per directory: it is what a broker knows the worker by when it comes back in time.
Directory and homes belong to one log: see ``identity``.
"""

import logging
import uuid
from itertools import count
from pathlib import Path
from typing import NamedTuple

from traderecon.durable import create
from traderecon.transport.log import WorkerLock, WorkerRunning
from traderecon.worker.identity import Identity, OtherIdentity, pin

NAME = "name"

logger = logging.getLogger(__name__)


class WorkerHome(NamedTuple):
    """The directory, held by its lock until this process and its forks have ended, its name, and the log it is for."""

    directory: Path
    name: str
    lock: WorkerLock
    identity: Identity

    def share(self, number: int) -> "WorkerHome":
        """The part of it for the first, second, ... process of one stage: the first has the home itself."""
        if number == 1:
            return self
        return self._replace(directory=self.directory / str(number), name=f"{self.name}-{number}")


def take_home(data_dir: Path, identity: Identity) -> WorkerHome:
    """The lowest free home in the data directory, made if missing. OSError: it cannot be made or written.

    OtherIdentity: the data directory, or that home, belongs to another log; nothing else of it has been read then.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    old = any(data_dir.glob("worker-*/"))
    _pin(data_dir, identity, old=old)
    for number in count():
        directory = data_dir / f"worker-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock = WorkerLock(directory)
        except WorkerRunning:
            continue
        name = directory / NAME
        try:
            _pin(directory, identity, old=name.exists())
        except OtherIdentity:
            lock.release()
            raise
        if not name.exists():
            create(name, f"{uuid.uuid4().hex[:12]}\n".encode())
        return WorkerHome(directory, f"worker-{name.read_text().strip()}", lock, identity)
    raise AssertionError("numbers do not end")


def _pin(directory: Path, identity: Identity, *, old: bool) -> None:
    if pin(directory, identity) and old:
        logger.warning(
            "%s is from a version that did not note which log it belongs to: taken to be cluster %r, prefix %r, %s "
            "partitions, from now on",
            directory,
            identity.cluster,
            identity.topic_prefix,
            identity.topic_partitions,
        )
