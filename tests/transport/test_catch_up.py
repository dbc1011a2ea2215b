"""A table that is behind is caught up in small steps that count as progress, or waits for a leader."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from faust.types import TP

from traderecon.transport.catch_up import CatchUp, NoLeader, catch_up_table

LEGS = TP("legs", 2)


def app_with(catch_up: CatchUp | None) -> SimpleNamespace:
    return SimpleNamespace(catch_up=catch_up, tables=SimpleNamespace(recovery=SimpleNamespace(restored=7)))


@pytest.mark.matrix("S13")
def test_every_step_counts_as_progress_and_yields_to_other_tasks() -> None:
    seen: list[int] = []

    async def catch_up(tp: TP) -> AsyncIterator[int]:
        for _ in range(3):
            yield 500

    async def run() -> None:
        app = app_with(catch_up)

        async def watchdog() -> None:
            while True:
                seen.append(app.tables.recovery.restored)
                await asyncio.sleep(0)

        watching = asyncio.ensure_future(watchdog())
        assert await catch_up_table(app, LEGS) == frozenset()
        watching.cancel()

    asyncio.run(run())
    assert seen == [507, 1_007, 1_507]


@pytest.mark.matrix("S13")
def test_partitions_without_a_leader_are_waited_for() -> None:
    async def catch_up(tp: TP) -> AsyncIterator[int]:
        for _ in range(int(tp.partition == LEGS.partition)):
            raise NoLeader([TP("reconciled", tp.partition)])
        yield 0

    assert asyncio.run(catch_up_table(app_with(catch_up), LEGS)) == {TP("reconciled", 2)}
    assert asyncio.run(catch_up_table(app_with(None), LEGS)) == frozenset()
