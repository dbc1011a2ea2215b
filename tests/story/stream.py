"""Stories in the stream: the real agents, log and database in one process, on a clock that does not wait.

    run_stream(course, rules, sources, Bench(directory)) -> every difference, after each step

What is real and what is not: docs/simulation.md.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from simulation.broker import Conditions
from simulation.day import Day, InputRecord
from simulation.plan import Plan
from simulation.world import Bench, World, simulate

from story.course import Step
from story.stored import Stored
from traderecon.intake import SettingsBySource
from traderecon.rules import Rules
from traderecon.topics import topics

GRACE_S = 60
STEP_S = 2.0
"""Virtual time between two steps: a message has had all its effects by then."""
START_S = 10.0
"""Virtual time until the worker has its partitions."""
PARTITIONS = 2
EPOCH_S = 1_800_000_000
"""Virtual time begins after everything that the stories are about, as it does for a worker."""


def run_stream(course: Sequence[Step], rules: Rules, sources: SettingsBySource, bench: Bench) -> list[str]:
    """Run a course to its end; AssertionError where a worker ended or something was never decided."""
    found: list[str] = []

    class StoryWorld(World):
        """Sends the course, compares after each step."""

        async def run(self) -> bool:
            """Send everything; True when all is decided and stored."""
            self.broker.spawn(self._restart(0))
            await asyncio.sleep(START_S)
            for number, step in enumerate(course):
                for sent in step.sent:
                    self.broker.write(sent.topic, sent.partition, [(None, sent.value, 0, ())])
                await asyncio.sleep(GRACE_S + START_S if step.passes_grace else STEP_S)
                found.extend(f"step {number}: {it}" for it in step.expected.differences(self.read()))
            settle_by_s = self.loop.time() + GRACE_S
            while not self._settled() and self.loop.time() < settle_by_s:
                await asyncio.sleep(STEP_S)
            return self._settled()

        def read(self) -> Stored:
            """What is stored now."""
            with closing(sqlite3.connect(self.bench.directory / "traderecon.db")) as database:
                return Stored.read(database)

    inputs = dict.fromkeys(topics().inputs, PARTITIONS)
    last = InputRecord(0.0, topics().executions, 0, None, None)
    day = Day(0, (last,), inputs, PARTITIONS, GRACE_S, 0.0)
    outcome, world = simulate(
        Plan(0, day, Conditions(max_fetch=500), rules=rules, sources=sources, epoch_s=EPOCH_S), bench, StoryWorld
    )
    world.log.close()
    assert outcome.unexpected == []
    assert outcome.settled
    return found
