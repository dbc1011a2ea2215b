"""Told time: a worker's clock that jumps (libfaketime), and what the worker itself reads there.

    JumpingClock(directory, name): environment -> jump(shift_s) -> shift_s as the worker tells it

The monotonic clock stays: sessions and timeouts are of the machine. A thread in the worker's program writes down how
its wall clock stands to the monotonic one, which all processes of a machine share.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

LIBRARIES = (Path("/usr/lib"), Path("/usr/local/lib"))
PACKAGE = "libfaketime"
TOLD_IN = "TORTURE_CLOCK"
EVERY_S = 0.2


class JumpingClock:
    """The wall clock of one worker, over its lives."""

    def __init__(self, directory: Path, name: str) -> None:
        self._set, self._told = directory / f"{name}.shift", directory / f"{name}.clock"
        self.jump(0)

    @staticmethod
    def library() -> Path | None:
        """The library, where the system has it."""
        found = (path for root in LIBRARIES for path in root.glob("**/faketime/libfaketimeMT.so.1"))
        return next(found, None)

    @classmethod
    def missing(cls) -> str:
        """Why no clock can jump here; nothing where one can."""
        return "" if cls.library() else f"a clock that jumps needs the system's package {PACKAGE}"

    @property
    def environment(self) -> dict[str, str]:
        """What the worker's environment needs."""
        return {
            "LD_PRELOAD": str(self.library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._set),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            TOLD_IN: str(self._told),
        }

    def jump(self, shift_s: int) -> None:
        """Set the clock so many seconds off the machine's; noticed within two."""
        fresh = self._set.with_suffix(".new")
        fresh.write_text(f"{shift_s:+d}\n")
        fresh.replace(self._set)

    @property
    def shift_s(self) -> float | None:
        """How far the worker's clock is off, as it said last; None where it has said nothing."""
        try:
            return float(self._told.read_text()) - (time.time() - time.monotonic())
        except (OSError, ValueError):
            return None


def tell_time() -> None:
    """Write down how the clock stands, forever; nothing where nobody asked. Before the product is imported."""
    if path := os.environ.get(TOLD_IN):
        # The library makes the system call behind time.sleep fail (EINVAL); waiting for what never comes it lets be.
        time.sleep = _sleep
        threading.Thread(target=_tell, args=(Path(path),), daemon=True).start()


def _sleep(seconds: Any, /) -> None:
    threading.Event().wait(float(seconds))


def _tell(path: Path) -> None:
    pause = threading.Event()
    fresh = path.with_suffix(".told")
    while True:
        with contextlib.suppress(OSError):
            fresh.write_text(f"{time.time() - time.monotonic():.3f}\n")
            fresh.replace(path)
        pause.wait(EVERY_S)
