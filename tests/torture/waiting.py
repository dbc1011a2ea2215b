"""Wait until a condition holds, with a timeout."""

import asyncio
from collections.abc import Callable

POLL_S = 0.05


class NotObserved(Exception):
    """An expected effect was not observed in time."""


class Missed(NotObserved):
    """The target was gone before the fault could hit it (it exited with 70, or another fault hit it): try again."""


async def wait_until(condition: Callable[[], bool], description: str, timeout_s: float) -> None:
    """Wait until ``condition`` is true; ``description`` is for the error. Raises NotObserved."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NotObserved(f"not within {timeout_s:.0f} s: {description}") from None
