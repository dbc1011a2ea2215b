"""Free space: pause a worker before its disk is full, and resume when there is space again.

    free space below the floor       -> intake pauses; the journal is still processed
    below half of the floor          -> matching and sink pause, too
    a little above a stage's floor   -> it resumes

Covers every disk that a process writes to: data directory, home, database. Pages, metrics and health keep running. If
a disk fills up anyway, the worker stops before it acknowledges anything.
"""

import asyncio
import logging
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from traderecon.telemetry import Metrics
from traderecon.transport.app import StreamApp
from traderecon.transport.pauses import Pauses

INTERVAL_S = 1.0
PAUSE = "disk"
MIB = 1024**2
SLACK_BYTES = 64 * MIB
"""A role resumes when free space is above its floor by a twentieth of it, at most by this much."""

logger = logging.getLogger(__name__)


class Disks(NamedTuple):
    """The directories a process writes to; ``database`` is the file, None if the process does not use it."""

    data_dir: Path
    home: Path
    database: Path | None

    def directories(self) -> tuple[Path, ...]:
        """The directories without duplicates; several may be on one disk."""
        directories = (self.data_dir, self.home, *(() if self.database is None else (self.database.parent,)))
        return tuple(dict.fromkeys(directories))


def attach(app: StreamApp, stages: Mapping[str, StreamApp], metrics: Metrics, disks: Disks, floor_mb: int) -> None:
    """Add a timer to ``app`` that checks the disks every second and pauses the ``stages`` while space is short.

    ``floor_mb``: in MiB; 0 never pauses.
    """

    async def check(*_: object) -> None:
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
        for role, stage in stages.items():
            pause_or_resume(stage.pauses, free[fullest], floor_bytes(role, floor_mb), str(fullest))
            for name in {PAUSE, *stage.pauses.ever}:
                metrics.held.labels(role, name).set(name in stage.pauses.reasons)

    app.timer(interval=INTERVAL_S, on_leader=False, name="free-space")(check)


def _free(directories: Collection[Path]) -> dict[Path, int]:
    """Free bytes on the disk of each directory; directories that cannot be checked are omitted."""
    free = {}
    for directory in directories:
        try:
            free[directory] = shutil.disk_usage(directory).free
        except OSError as error:
            logger.warning("the free space on the disk of %s is unknown: %s", directory, error)
    return free


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def floor_bytes(role: str, floor_mb: int) -> int:
    """The free space below which a role pauses: intake first, so that the others can process what it wrote."""
    return floor_mb * MIB if role == "intake" else floor_mb * MIB // 2


def pause_or_resume(pauses: Pauses, free_bytes: int, floor: int, directory: str) -> None:
    """Pause below the floor, resume clearly above it; nothing changes in between, which prevents flapping."""
    if free_bytes < floor:
        text = f"{free_bytes // MIB:,} MiB are free on the disk of {directory}, less than {floor // MIB:,}"
        pauses.pause(PAUSE, f"{text} (see TRADERECON_MIN_FREE_MB). Free some space; it then resumes by itself.")
    elif free_bytes >= floor + min(floor // 20, SLACK_BYTES):
        pauses.resume(PAUSE)
    elif PAUSE in pauses.reasons:
        pauses.pause(PAUSE, pauses.reasons[PAUSE])
