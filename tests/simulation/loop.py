"""The loop: asyncio on a clock that jumps to whatever comes next. A second costs what is done in it, and no more.

Nothing waits for the machine: no socket, no thread. So the same calls come in the same order every time.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

EPOCH_S = 1_753_500_000
"""When virtual time begins, in seconds since 1970."""


class Still(RuntimeError):
    """Nobody waits for anything that will come: the simulation hangs."""


class _Jumps(selectors.SelectSelector):
    """Where a loop would sleep, time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Still("nothing is under way, and nothing is to come")
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """``work_s`` says how long what an executor is given takes; it is done in this thread."""

    def __init__(self, work: Callable[[Callable[[], Any]], "asyncio.Future[Any]"] | None = None) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)
        self.work = work

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._jumps.now_s

    def now_ns(self) -> int:
        """The clock on the wall."""
        return int((EPOCH_S + self._jumps.now_s) * 1_000_000) * 1_000

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Have it done by whoever is at work: see ``Worker.work``."""
        if self.work is None:
            raise RuntimeError("nobody is there to work")
        return self.work(lambda: func(*args))

    def _write_to_self(self) -> None:
        """There is no other thread that could wake this one."""
