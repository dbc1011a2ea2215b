"""The home of a worker: its own locked directory in the data directory, with its name in the consumer group.

A worker takes the lowest free ``worker-<k>``: after a restart it finds its tables, and several workers can share a data
directory. The name is created once per directory; a broker recognizes a restarted worker by it. The data directory and
its homes belong to one log: see ``identity``.
"""

import logging
import uuid
from itertools import count
from pathlib import Path
from typing import NamedTuple

from traderecon.durable import create
from traderecon.transport.log import WorkerLock, WorkerRunning
from traderecon.worker.identity import Identity, OtherIdentity, bind

NAME = "name"

logger = logging.getLogger(__name__)


class WorkerHome(NamedTuple):
    """A worker's directory, its name in the group, and its log; locked until this process and its forks end."""

    directory: Path
    name: str
    lock: WorkerLock
    identity: Identity

    def share(self, number: int) -> "WorkerHome":
        """The home of the first, second, ... process of one stage; the first uses the worker's home itself."""
        if number == 1:
            return self
        return self._replace(directory=self.directory / str(number), name=f"{self.name}-{number}")


def take_home(data_dir: Path, identity: Identity) -> WorkerHome:
    """Lock the lowest free home in the data directory, created if missing. OSError: it cannot be created or written.

    OtherIdentity: the data directory or that home belongs to another log; this is checked before anything is read.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    used = any(data_dir.glob("worker-*/"))
    _pin(data_dir, identity, used=used)
    for number in count():
        directory = data_dir / f"worker-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock = WorkerLock(directory)
        except WorkerRunning:
            continue
        name = directory / NAME
        try:
            _pin(directory, identity, used=name.exists())
        except OtherIdentity:
            lock.release()
            raise
        if not name.exists():
            create(name, f"{uuid.uuid4().hex[:12]}\n".encode())
        return WorkerHome(directory, f"worker-{name.read_text().strip()}", lock, identity)
    raise AssertionError("numbers do not end")


def _pin(directory: Path, identity: Identity, *, used: bool) -> None:
    """Pin a directory to the log; ``used``: it has content, so an earlier version wrote it without an identity."""
    if bind(directory, identity) and used:
        logger.warning(
            "%s was written by a version that did not record its log: assuming cluster %r, prefix %r, %s partitions",
            directory,
            identity.cluster,
            identity.topic_prefix,
            identity.topic_partitions,
        )
