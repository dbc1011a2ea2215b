"""The plan's clock: seconds that pass slowly while a fault waits for its target.

The feeder and the faults go by it, so that records flow all through the schedule however slow the machine is.
"""

import asyncio
import time

SLOW = 0.2


class PlanClock:
    """Seconds of the plan since it was made."""

    def __init__(self) -> None:
        self._known_s = 0.0
        self._since = time.monotonic()
        self._pace = 1.0

    @property
    def now_s(self) -> float:
        """How far the plan has got."""
        return self._known_s + (time.monotonic() - self._since) * self._pace

    def slow(self) -> None:
        """Go at a fifth of the speed: something is late."""
        self._turn(SLOW)

    def full(self) -> None:
        """Go with the wall clock."""
        self._turn(1.0)

    async def reach(self, at_s: float) -> None:
        """Wait until the plan has got to ``at_s``."""
        while (left_s := at_s - self.now_s) > 0:
            await asyncio.sleep(left_s / self._pace)

    def _turn(self, pace: float) -> None:
        self._known_s, self._since, self._pace = self.now_s, time.monotonic(), pace
