"""Clocks: the only module that reads them. The wall clock is for display and waiting; it never decides a result."""

import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NS_PER_MS = 1_000_000
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ns() -> int:
    """Nanoseconds since 1970, UTC."""
    return time.time_ns()


def boot_ns() -> int:
    """Nanoseconds since this machine booted, including suspend; this clock cannot be set."""
    return time.clock_gettime_ns(_BOOT)


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return now_ns() // _NS_PER_MS


def boot_ms() -> int:
    """Milliseconds since this machine booted: see ``boot_ns``."""
    return boot_ns() // _NS_PER_MS


def boot_id() -> str:
    """The id of this boot of the machine; empty if the system has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
