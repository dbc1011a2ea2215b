"""The plan's clock: it runs slowly while a fault waits for its target.

The feeder and the faults follow it, so that records flow during the whole schedule however slow the machine is.
"""

import asyncio
import time

SLOW = 0.2


class PlanClock:
    """Seconds of the plan since the clock was created."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._since = time.monotonic()
        self._pace = 1.0

    @property
    def now_s(self) -> float:
        """The current time of the plan."""
        return self._elapsed_s + (time.monotonic() - self._since) * self._pace

    def slow(self) -> None:
        """Run at a fifth of the speed."""
        self._set_pace(SLOW)

    def full(self) -> None:
        """Run at the speed of the wall clock."""
        self._set_pace(1.0)

    async def reach(self, at_s: float) -> None:
        """Wait for the plan's time ``at_s``."""
        while (left_s := at_s - self.now_s) > 0:
            await asyncio.sleep(left_s / self._pace)

    def _set_pace(self, pace: float) -> None:
        self._elapsed_s, self._since, self._pace = self.now_s, time.monotonic(), pace
