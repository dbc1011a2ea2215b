"""Trades that wait for a source that stops, in log time, and what the real matching agent publishes of them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from legs import ours, theirs
from silence_case import Arrival, Journal, Matching, Published, matching_on

from traderecon.records import State

BATCH = 50
Story = Callable[[Matching], Coroutine[Any, Any, None]]


def run(directory: Path, journal: Journal, check: Story | None = None, **options: Any) -> list[Published]:
    """Let matching read a journal; what it published."""

    async def play() -> list[Published]:
        async with matching_on(directory, **options) as matching:
            await matching.read(journal.batches(BATCH))
            if check is not None:
                await check(matching)
            return matching.published

    return asyncio.run(play())


def trades(
    count: int, *, every_s: float = 0.5, missing: int = 0, first: int = 0, confirmed: Callable[[float], float | None]
) -> Iterator[Arrival]:
    """Trades executed at a steady pace; ``confirmed`` says when the confirmation due at a second arrives.

    ``missing``: each trade whose number is a multiple of it is never confirmed.
    """
    for number in range(first, first + count):
        at_s = number * every_s
        yield Arrival(at_s, ours(trade_id=f"T{number}"))
        arrives_s = confirmed(at_s + 0.2)
        if arrives_s is not None and not (missing and number % missing == 0):
            yield Arrival(arrives_s, theirs(trade_id=f"T{number}"))


def outage(begin_s: float, end_s: float, pace: float = 0.1) -> Callable[[float], float]:
    """Confirmations of this time are sent afterwards, in order, at ``pace`` times the time they took."""

    def arrives_s(due_s: float) -> float:
        backlog_end_s = end_s + (end_s - begin_s) * pace / (1 - pace)
        if due_s < begin_s or due_s >= backlog_end_s:
            return due_s
        return end_s + (due_s - begin_s) * pace

    return arrives_s


def steady(due_s: float) -> float:
    return due_s


def states(published: list[Published]) -> dict[str, State]:
    """The newest state of each trade."""
    return {result.trade_id: result.state for result in published}


def breaks(published: list[Published]) -> set[str]:
    """The trades that were ever broken."""
    return {result.trade_id for result in published if result.state is not State.MATCHED}
