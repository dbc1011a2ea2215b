"""Pace: the messages of a simulated day as they become due, R trades per second of real time.

messages, R per second  ->  groups of [Sent, ...], each when it is due
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from time import monotonic

from traderecon.simulator.messages import Sent

MAX_GROUP = 5_000
"""Messages in a group."""
TICK_S = 0.02
"""Messages due within this time are grouped."""


async def pace(messages: Iterable[Sent], rate: float | None, first: int = 0) -> AsyncIterator[Sequence[Sent]]:
    """The messages in groups, each when its last is due: position p at (p - ``first``) / ``rate`` seconds from now.

    ``rate`` in trades per second; None: as fast as they are consumed. A slow consumer catches up.
    """
    begun_s = monotonic()
    due: list[Sent] = []
    last_s = until_s = 0.0
    for message in messages:
        due_s = (message.position - first) / rate if rate else 0.0
        if due and (due_s > until_s or len(due) >= MAX_GROUP):
            await asyncio.sleep(max(0.0, begun_s + last_s - monotonic()))
            yield due
            due = []
        if not due:
            until_s = max(due_s, monotonic() - begun_s) + TICK_S
        due.append(message)
        last_s = due_s
    if due:
        await asyncio.sleep(max(0.0, begun_s + last_s - monotonic()))
        yield due
