"""The day of a demo over restarts: whatever the options of the next run, no trade that has begun lacks a leg."""

import asyncio
import json
import random
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path

import pytest

from traderecon.client.embedded_client import EmbeddedClient
from traderecon.demo import FILE
from traderecon.demo.day import Day
from traderecon.preflight.topics import create_topics
from traderecon.records import Source
from traderecon.settings import load
from traderecon.simulator import PROFILES, START_MS, messages
from traderecon.topics import topics

NAMES = topics("")
NOW_MS = 1_790_000_000_500
GRACE_S = 60.0
RATES = (None, 400.0, 30_000.0)

pytestmark = pytest.mark.usefixtures("here")

Sides = dict[str, set[tuple[Source, bytes]]]


async def run(
    folder: Path, seed: int, *, trades: int | None, rate: float | None, groups: int | None, now_ms: int = NOW_MS
) -> int:
    """One run of the demo without its worker, ended after so many groups of messages; gives the trades begun."""
    async with EmbeddedClient.open(folder) as client:
        await create_topics(client, load())
        counts = await client.topics()
        day = Day(folder, seed, now_ms)
        await day.finish(client, NAMES, counts)
        sending = day.send(client, NAMES, counts, trades=trades, rate=rate, grace_s=GRACE_S)
        async with aclosing(sending) as sent:
            async for _ in sent:
                groups = None if groups is None else groups - 1
                if groups == 0:
                    break
        return day.begun


async def in_the_log(folder: Path) -> Sides:
    """What each side of each trade says in the log, repetitions aside."""
    found: Sides = defaultdict(set)
    async with EmbeddedClient.open(folder) as client:
        counts = await client.topics()
        for topic, source in NAMES.inputs.items():
            for partition in range(counts[topic]):
                async for records in client.read(topic, partition):
                    for record in records:
                        found[(record.key or b"").decode()].add((source, record.value or b""))
    return found


def expected(seed: int, trades: int, start_ms: int) -> Sides:
    sides: Sides = defaultdict(set)
    for sent in messages(seed, trades, PROFILES["typical"], start_ms=start_ms):
        sides[(sent.key or b"").decode()].add((sent.source, sent.value))
    return sides


@pytest.mark.parametrize("case", range(6))
def test_no_trade_that_has_begun_lacks_a_leg_after_the_next_start(tmp_path: Path, case: int) -> None:
    draw = random.Random(case)
    begun: dict[int, int] = {}
    for _ in range(4):
        seed, rate = draw.choice((7, 8)), draw.choice(RATES)
        trades = draw.choice((None, 200, 1_200)) if rate else draw.choice((200, 1_200))
        groups = draw.randrange(1, 12) if trades is None or draw.random() < 0.5 else None
        begun[seed] = asyncio.run(run(tmp_path, seed, trades=trades, rate=rate, groups=groups))
    last = {seed: asyncio.run(run(tmp_path, seed, trades=1, rate=None, groups=None)) for seed in begun}
    assert last == begun
    (start_ms,) = {one["start_ms"] for one in json.loads((tmp_path / FILE).read_bytes()).values()}
    wanted: Sides = {}
    for seed, count in begun.items():
        wanted |= expected(seed, count, start_ms)
    assert asyncio.run(in_the_log(tmp_path)) == wanted


def test_a_finished_day_continues_with_the_next_trade(tmp_path: Path) -> None:
    for trades in (150, 150, 400, 300):
        asyncio.run(run(tmp_path, 7, trades=trades, rate=None, groups=None))
    assert len(asyncio.run(in_the_log(tmp_path))) == 400


def test_the_day_is_the_one_of_the_first_start(tmp_path: Path) -> None:
    for now_ms in (NOW_MS, NOW_MS + 86_400_000):
        asyncio.run(run(tmp_path, 7, trades=5, rate=None, groups=None, now_ms=now_ms))
    found = asyncio.run(in_the_log(tmp_path))
    assert found == expected(7, 5, NOW_MS - 20_500)


def test_at_a_low_rate_the_other_side_comes_within_the_grace(tmp_path: Path) -> None:
    asyncio.run(run(tmp_path, 7, trades=None, rate=1.0, groups=1))
    (progress,) = json.loads((tmp_path / FILE).read_bytes()).values()
    assert progress["delay_slots"] / 1.0 <= GRACE_S / 4


def test_a_day_begun_by_an_older_version_continues(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"7": 40}')
    assert asyncio.run(run(tmp_path, 7, trades=41, rate=None, groups=None)) == 41
    assert json.loads((tmp_path / FILE).read_bytes())["7"]["start_ms"] == START_MS
