"""The loop: asyncio on a virtual clock that jumps to the next timer, so waiting costs no real time.

Nothing depends on the machine: no socket, no thread. The same calls come in the same order every time.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

EPOCH_S = 1_753_500_000
"""The start of virtual time, in seconds since 1970."""


class Deadlock(RuntimeError):
    """No task is ready and no timer is set: the simulation hangs."""


class _VirtualSelector(selectors.SelectSelector):
    """Advances the clock where a real loop would sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("no task is ready and no timer is set")
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; ``work`` runs the calls of executors, in this thread.

    ``epoch_s``: the start of its time, in seconds since 1970.
    """

    def __init__(
        self, work: Callable[[Callable[[], Any]], "asyncio.Future[Any]"] | None = None, *, epoch_s: int = EPOCH_S
    ) -> None:
        self.epoch_s = epoch_s
        self._selector = _VirtualSelector()
        super().__init__(self._selector)
        self.work = work

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._selector.now_s

    def now_ns(self) -> int:
        """The wall clock, in nanoseconds since 1970."""
        return int((self.epoch_s + self._selector.now_s) * 1_000_000) * 1_000

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run a call as the current worker: see ``Worker.run_in_thread``."""
        if self.work is None:
            raise RuntimeError("no executor is installed")
        return self.work(lambda: func(*args))

    def _write_to_self(self) -> None:
        """Nothing to do: no other thread can wake this loop."""
