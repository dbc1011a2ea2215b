"""Free space: a worker takes in nothing more before its disk is full, and goes on by itself when there is room.

    free below the floor        -> intake waits: what is in the journal is finished
    free below half of it       -> matching and sink wait as well
    a little above its floor    -> each goes on

Pages, metrics and health go on. A disk that is full all the same ends the worker before it acknowledges anything.
"""

import asyncio
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from traderecon.telemetry import Metrics
from traderecon.transport import StreamApp
from traderecon.transport.holds import Holds

LOOK_S = 1.0
HOLD = "disk"
MIB = 1024**2
SLACK_BYTES = 64 * MIB
"""Above its floor a role goes on with a twentieth more, or this much."""

logger = logging.getLogger(__name__)


def attach(app: StreamApp, running: Mapping[str, StreamApp], metrics: Metrics, directory: Path, floor_mb: int) -> None:
    """Have an app look at the disk every second, and hold the roles that ``running`` has while there is no room.

    ``floor_mb``: MiB; 0: nothing is ever held.
    """

    async def look(*_: object) -> None:
        try:
            free_bytes = (await asyncio.to_thread(shutil.disk_usage, directory)).free
        except OSError as error:
            logger.warning("how much room there is on the disk of %s cannot be told: %s", directory, error)
            return
        metrics.disk_free.set(free_bytes)
        for role, one in running.items():
            judge(one.holds, free_bytes, floor_bytes(role, floor_mb), str(directory))
            for reason in {HOLD, *one.holds.ever}:
                metrics.held.labels(role, reason).set(reason in one.holds.said)

    app.timer(interval=LOOK_S, on_leader=False, name="free-space")(look)


def floor_bytes(role: str, floor_mb: int) -> int:
    """Below how much a role waits: intake first, so that the others can finish what it has let in."""
    return floor_mb * MIB if role == "intake" else floor_mb * MIB // 2


def judge(holds: Holds, free_bytes: int, floor: int, where: str) -> None:
    """Hold or let go; in between nothing changes, so that a worker at the edge does not flicker."""
    if free_bytes < floor:
        found = f"{free_bytes // MIB:,} MiB are free where {where} is, below {floor // MIB:,}"
        holds.put(HOLD, f"{found}. Make room: it goes on by itself. TRADERECON_MIN_FREE_MB is the limit.")
    elif free_bytes >= floor + min(floor // 20, SLACK_BYTES):
        holds.lift(HOLD)
    elif HOLD in holds.said:
        holds.put(HOLD, holds.said[HOLD])
