"""Readiness: the time from each start of a worker until it reports to be ready.

workers + Workload.ready -> Readiness.keep_polling -> took_s, of every start that got there
"""

import asyncio
import time
from collections.abc import Callable, Collection

from torture.workers import Worker

POLL_EVERY_S = 0.2


class Readiness:
    """The time to readiness of every start, in the order of becoming ready. ``ready`` may block."""

    def __init__(self, workers: Collection[Worker], ready: Callable[[Worker], bool]) -> None:
        self.took_s: list[float] = []
        self._workers, self._ready = workers, ready

    async def keep_polling(self) -> None:
        """Poll until cancelled, each worker in its own task so that a slow one does not delay the others."""
        async with asyncio.TaskGroup() as polls:
            for worker in self._workers:
                polls.create_task(self._poll_worker(worker))

    async def _poll_worker(self, worker: Worker) -> None:
        recorded_start_s = None
        while True:
            start_s = worker.started_s
            if worker.running and start_s != recorded_start_s and await asyncio.to_thread(self._ready, worker):
                now_s = time.monotonic()
                if worker.started_s == start_s:
                    self.took_s.append(round(now_s - start_s, 2))
                    recorded_start_s = start_s
            await asyncio.sleep(POLL_EVERY_S)
