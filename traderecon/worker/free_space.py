"""Free space: a worker takes in nothing more before a disk of its is full, and goes on by itself when there is room.

    free below the floor        -> intake waits: what is in the journal is finished
    free below half of it       -> matching and sink wait as well
    a little above its floor    -> each goes on

Looked at are all disks that a process writes to: of the data directory, of its home in it, of the database.
Pages, metrics and health go on. A disk that is full all the same ends the worker before it acknowledges anything.
"""

import asyncio
import logging
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from traderecon.telemetry import Metrics
from traderecon.transport import StreamApp
from traderecon.transport.pauses import Pauses

LOOK_S = 1.0
HOLD = "disk"
MIB = 1024**2
SLACK_BYTES = 64 * MIB
"""Above its floor a role goes on with a twentieth more, or this much."""

logger = logging.getLogger(__name__)


class Disks(NamedTuple):
    """The directories a process writes to; ``database`` is the file, None where the process has none."""

    data_dir: Path
    home: Path
    database: Path | None

    def directories(self) -> tuple[Path, ...]:
        """All of them, each once; two may lie on one disk."""
        places = (self.data_dir, self.home, *(() if self.database is None else (self.database.parent,)))
        return tuple(dict.fromkeys(places))


def attach(app: StreamApp, running: Mapping[str, StreamApp], metrics: Metrics, disks: Disks, floor_mb: int) -> None:
    """Have an app look at the disks every second, and hold the roles that ``running`` has while there is no room.

    ``floor_mb``: MiB; 0: nothing is ever held.
    """

    async def look(*_: object) -> None:
        free = await asyncio.to_thread(_free, disks.directories())
        if not free:
            return
        if disks.data_dir in free:
            metrics.disk_free.set(free[disks.data_dir])
        if disks.database is not None:
            metrics.database_wal.set(_size(disks.database.with_name(f"{disks.database.name}-wal")))
            if disks.database.parent in free:
                metrics.database_disk_free.labels(disks.database.name).set(free[disks.database.parent])
        fullest = min(free, key=lambda directory: free[directory])
        for role, one in running.items():
            judge(one.holds, free[fullest], floor_bytes(role, floor_mb), str(fullest))
            for reason in {HOLD, *one.holds.ever}:
                metrics.held.labels(role, reason).set(reason in one.holds.said)

    app.timer(interval=LOOK_S, on_leader=False, name="free-space")(look)


def _free(directories: Collection[Path]) -> dict[Path, int]:
    """What is free on the disk of each; a directory of which that cannot be found out is left out."""
    free = {}
    for directory in directories:
        try:
            free[directory] = shutil.disk_usage(directory).free
        except OSError as error:
            logger.warning("how much room there is on the disk of %s cannot be told: %s", directory, error)
    return free


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def floor_bytes(role: str, floor_mb: int) -> int:
    """Below how much a role waits: intake first, so that the others can finish what it has let in."""
    return floor_mb * MIB if role == "intake" else floor_mb * MIB // 2


def judge(holds: Pauses, free_bytes: int, floor: int, where: str) -> None:
    """Hold or let go; in between nothing changes, so that a worker at the edge does not flicker."""
    if free_bytes < floor:
        found = f"{free_bytes // MIB:,} MiB are free where {where} is, below {floor // MIB:,}"
        holds.put(HOLD, f"{found}. Make room: it goes on by itself. TRADERECON_MIN_FREE_MB is the limit.")
    elif free_bytes >= floor + min(floor // 20, SLACK_BYTES):
        holds.lift(HOLD)
    elif HOLD in holds.said:
        holds.put(HOLD, holds.said[HOLD])
