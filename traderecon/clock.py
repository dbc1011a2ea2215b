"""The wall clock: the only module that reads it. What it says may be shown and waited on, and decides nothing."""

import time


def now_ns() -> int:
    """Nanoseconds since 1970, UTC."""
    return time.time_ns()
