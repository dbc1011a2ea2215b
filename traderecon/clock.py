"""The clocks: the only module that reads them. The wall clock may be shown and waited on, and decides nothing."""

import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NS_PER_MS = 1_000_000
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ns() -> int:
    """Nanoseconds since 1970, UTC."""
    return time.time_ns()


def boot_ns() -> int:
    """Nanoseconds since this machine was started, those it slept included; nobody sets this clock."""
    return time.clock_gettime_ns(_BOOT)


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return now_ns() // _NS_PER_MS


def boot_ms() -> int:
    """Milliseconds since this machine was started, as ``boot_ns``."""
    return boot_ns() // _NS_PER_MS


def boot_id() -> str:
    """What tells this start of the machine from any other; empty where the system does not say."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
