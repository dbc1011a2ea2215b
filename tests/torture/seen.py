"""Seen: wait until something is so, for so long at most."""

import asyncio
from collections.abc import Callable

POLL_S = 0.05


class NotSeen(Exception):
    """What should have happened was not observed in time."""


class Missed(NotSeen):
    """The target was gone before the fault could hit it, by itself (70) or by another fault: another try is due."""


async def seen(condition: Callable[[], bool], what: str, within_s: float) -> None:
    """Wait until ``condition`` is true; ``what`` says it in words. Raises NotSeen."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NotSeen(f"not within {within_s:.0f} s: {what}") from None
