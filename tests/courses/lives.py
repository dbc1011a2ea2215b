"""The lives of a worker in a course: batches cut anywhere, crashes within writes, restarts, replays of the journal.

Journal + Life, ...  ->  Ended(every published result, what still waits)
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from silence_case import TOPICS, Crash, Journal, Matching, Published, matching_on, move_results

from courses.events import FLOOR_S, Course, Life
from traderecon.tables import deadlines, held
from traderecon.transport import MicroBatch

IN_MEMORY = Path("/dev/shm")
"""Where there is one, a log that must only survive the crashes of a test."""


class Ended(NamedTuple):
    """``published``: in order; ``waiting``: the keys of deadlines and held trades that are left."""

    published: list[Published]
    waiting: list[bytes]

    @property
    def timeless(self) -> set[Published]:
        """The results, whenever they were published."""
        return {result._replace(at_s=0) for result in self.published}


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for some lives."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as name:
        yield Path(name)


def live(course: Course, journal: Journal, lives: Sequence[Life], *, again: bool = False) -> Ended:
    """Let a worker read the journal in these lives, each from its beginning; ``again``: the last one reads it twice."""

    async def play(home: Path) -> Ended:
        published: list[Published] = []
        waiting: list[bytes] = []
        for life in lives:
            async with matching_on(home, course.rules, limit_s=course.limit_s, floor_s=FLOOR_S) as matching:
                matching.crash_at = life.crash_at
                with suppress(Crash):
                    await matching.read(batches(journal, life.sizes))
                    if again and life is lives[-1]:
                        await matching.read(batches(journal, life.sizes[::-1]))
                published += matching.published
                waiting = _waiting(matching)
        return Ended(published, waiting)

    with directory() as home:
        return asyncio.run(play(home))


def live_without_changelog(course: Course, journal: Journal, share: float, sizes: tuple[int, ...]) -> Ended:
    """Lose the changelog after a share of the journal: read the results back, and the whole journal again."""

    async def play(home: Path) -> Ended:
        rules, limit_s = course.rules, course.limit_s
        async with (
            matching_on(home / "old", rules, limit_s=limit_s, floor_s=FLOOR_S) as old,
            matching_on(home / "new", rules, limit_s=limit_s, floor_s=FLOOR_S) as new,
        ):
            every = [*batches(journal, sizes)]
            await old.read(every[: int(share * len(every))])
            await move_results(old, new)
            await new.read(every)
            return Ended([*old.published, *new.published], _waiting(new))

    with directory() as home:
        return asyncio.run(play(home))


def batches(journal: Journal, sizes: Sequence[int]) -> Iterator[MicroBatch]:
    """The journal in batches of these sizes, in turn."""
    start = 0
    for size in cycle(sizes):
        if start >= len(journal.records):
            return
        yield MicroBatch(TOPICS.legs, 0, journal.records[start : start + size])
        start += size


def _waiting(matching: Matching) -> list[bytes]:
    return [*matching.keys(deadlines.PREFIX), *matching.keys(held.PREFIX)]
