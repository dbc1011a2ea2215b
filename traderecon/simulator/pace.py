"""Pace: the messages of a simulated day as they become due, R trades in a second of real time.

messages, R per second  ->  [Sent, ...] that are due by now, again and again
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from time import monotonic

from traderecon.simulator.messages import Sent

MOST = 5_000
"""Messages handed out at once."""
TICK_S = 0.02
"""What is due within so long goes together."""


async def paced(messages: Iterable[Sent], rate: float | None, first: int = 0) -> AsyncIterator[Sequence[Sent]]:
    """The messages in groups, each when its last is due: position p at (p - ``first``) / ``rate`` seconds from now.

    ``rate`` in trades per second; None: as fast as they are taken. Who falls behind catches up.
    """
    begun_s = monotonic()
    due: list[Sent] = []
    last_s = until_s = 0.0
    for message in messages:
        due_s = (message.position - first) / rate if rate else 0.0
        if due and (due_s > until_s or len(due) >= MOST):
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
