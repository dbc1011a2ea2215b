"""Pace: all messages, in order, and none before it is due."""

import asyncio
import time

import pytest

from traderecon.records import Source
from traderecon.simulator import Sent, pace
from traderecon.simulator.pace import MAX_GROUP


def day(*positions: int) -> list[Sent]:
    return [Sent(Source.PNL, None, b"%d" % number, position, 0) for number, position in enumerate(positions)]


def groups(messages: list[Sent], rate: float | None, first: int = 0) -> list[tuple[float, list[Sent]]]:
    """The groups, and the seconds after which each was yielded."""

    async def run() -> list[tuple[float, list[Sent]]]:
        begun = time.monotonic()
        return [(time.monotonic() - begun, list(due)) async for due in pace(messages, rate, first)]

    return asyncio.run(run())


@pytest.mark.parametrize("rate", [None, 1e9, 200])
def test_everything_comes_once_and_in_order(rate: float | None) -> None:
    messages = day(*(number // 3 for number in range(60)))
    assert [sent for _, due in groups(messages, rate) for sent in due] == messages


def test_nothing_comes_before_its_time() -> None:
    for after_s, due in groups(day(0, 0, 1, 7, 8, 30), rate=100):
        assert after_s >= due[-1].position / 100


def test_a_resumed_day_starts_at_once() -> None:
    ((after_s, due),) = groups(day(10**9, 10**9), rate=1, first=10**9)
    assert len(due) == 2
    assert after_s < 5


def test_without_a_rate_groups_are_as_large_as_they_may_be() -> None:
    assert [len(due) for _, due in groups(day(*range(MAX_GROUP * 2 + 1)), None)] == [MAX_GROUP, MAX_GROUP, 1]


def test_an_empty_day_ends_at_once() -> None:
    assert groups([], rate=5) == []
