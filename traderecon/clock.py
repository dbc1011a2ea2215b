"""The clocks: the only module that reads them. The wall clock may be shown and waited on, and decides nothing."""

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ns() -> int:
    """Nanoseconds since 1970, UTC."""
    return time.time_ns()


def boot_ns() -> int:
    """Nanoseconds since this machine was started, those it slept included; nobody sets this clock."""
    return time.clock_gettime_ns(_BOOT)
