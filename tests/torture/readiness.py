"""Readiness: how long each life of a worker takes from its start until it says that it is ready.

crew + Workload.ready -> Readiness.keep_looking -> took_s, of every life that got there
"""

import asyncio
import time
from collections.abc import Callable, Collection

from torture.workers import Worker

LOOK_EVERY_S = 0.2


class Readiness:
    """The seconds of every life so far, in the order in which they were ready. ``ready`` may block."""

    def __init__(self, crew: Collection[Worker], ready: Callable[[Worker], bool]) -> None:
        self.took_s: list[float] = []
        self._crew, self._ready = crew, ready

    async def keep_looking(self) -> None:
        """Look until cancelled; at a worker that does not answer no longer than at the others."""
        async with asyncio.TaskGroup() as looking:
            for worker in self._crew:
                looking.create_task(self._keep_looking_at(worker))

    async def _keep_looking_at(self, worker: Worker) -> None:
        seen_s = None
        while True:
            life_s = worker.began_s
            if worker.running and life_s != seen_s and await asyncio.to_thread(self._ready, worker):
                now_s = time.monotonic()
                if worker.began_s == life_s:
                    self.took_s.append(round(now_s - life_s, 2))
                    seen_s = life_s
            await asyncio.sleep(LOOK_EVERY_S)
