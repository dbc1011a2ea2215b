"""Reported clock: a worker's wall clock that jumps (libfaketime), and the shift that the worker itself observes.

    JumpingClock(directory, name): environment -> jump(shift_s) -> shift_s as the worker reports it

The monotonic clock is not shifted, so sessions and timeouts are unaffected. A thread in the worker writes the
difference of its wall clock and the monotonic clock, which all processes of a machine share.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

LIBRARIES = (Path("/usr/lib"), Path("/usr/local/lib"))
PACKAGE = "libfaketime"
REPORT_PATH_VARIABLE = "TORTURE_CLOCK"
REPORT_EVERY_S = 0.2


class JumpingClock:
    """The wall clock of one worker, kept across its restarts."""

    def __init__(self, directory: Path, name: str) -> None:
        self._shift_path, self._report_path = directory / f"{name}.shift", directory / f"{name}.clock"
        self.jump(0)

    @staticmethod
    def library() -> Path | None:
        """The path of libfaketime, if it is installed."""
        matches = (path for root in LIBRARIES for path in root.glob("**/faketime/libfaketimeMT.so.1"))
        return next(matches, None)

    @classmethod
    def missing(cls) -> str:
        """Why clocks cannot jump on this machine; empty if they can."""
        return "" if cls.library() else f"a clock that jumps needs the system's package {PACKAGE}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the worker."""
        return {
            "LD_PRELOAD": str(self.library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._shift_path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            REPORT_PATH_VARIABLE: str(self._report_path),
        }

    def jump(self, shift_s: int) -> None:
        """Shift the clock by ``shift_s`` from the machine's; takes effect within two seconds."""
        new_file = self._shift_path.with_suffix(".new")
        new_file.write_text(f"{shift_s:+d}\n")
        new_file.replace(self._shift_path)

    @property
    def shift_s(self) -> float | None:
        """The shift that the worker reported last; None if it has reported none."""
        try:
            return float(self._report_path.read_text()) - (time.time() - time.monotonic())
        except (OSError, ValueError):
            return None


def report_clock() -> None:
    """Report the clock in a thread, if the harness asked for it. Call before the product is imported."""
    if path := os.environ.get(REPORT_PATH_VARIABLE):
        # libfaketime makes the system call behind time.sleep fail (EINVAL); waiting for an event works.
        time.sleep = _sleep
        threading.Thread(target=_report_forever, args=(Path(path),), daemon=True).start()


def _sleep(seconds: Any, /) -> None:
    threading.Event().wait(float(seconds))


def _report_forever(path: Path) -> None:
    never_set = threading.Event()
    new_file = path.with_suffix(".part")
    while True:
        with contextlib.suppress(OSError):
            new_file.write_text(f"{time.time() - time.monotonic():.3f}\n")
            new_file.replace(path)
        never_set.wait(REPORT_EVERY_S)
