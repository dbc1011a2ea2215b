"""Wait for a condition, with a bound; stop a process, and know that it stands still."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

EVERY_S = 0.02
LONG_S = 240
"""A bound, and no measure: on a busy machine a worker takes a minute to start."""

T = TypeVar("T")


class Never(AssertionError):
    """The condition did not come about in time."""


def until(found: Callable[[], T], what: str, within_s: float = LONG_S) -> T:
    """The first true answer of ``found``; ``what`` says what was waited for. Raises Never after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (answer := found()):
        if time.monotonic() > deadline:
            raise Never(f"not within {within_s} s: {what}; the last answer was {answer!r}")
        time.sleep(EVERY_S)
    return answer


def pause(process: subprocess.Popen[bytes]) -> None:
    """Stop a child (SIGSTOP), and wait until every thread of it stands, or it has ended."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
