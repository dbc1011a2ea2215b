"""One run of the demo: a worker under its supervisor, the day sent into the log, until it is stopped or decided."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, closing
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from traderecon.client.embedded_client import EmbeddedClient
from traderecon.clock import now_ns
from traderecon.demo.day import FILE, Day
from traderecon.demo.decided import decided
from traderecon.demo.supervisor import Supervisor
from traderecon.preflight.topics import make
from traderecon.records import State
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.rulebook import rules_in_force
from traderecon.settings import Settings
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport.log import WorkerLock, WorkerRunning

MARGIN_MS = 1_000
LOOK_S = 0.25
COUNTED_S = 10.0
BEFORE_US_S = 10.0
"""A worker whose demo has been killed is gone after this at the latest."""


class Plan(NamedTuple):
    """What to send: ``trades`` in total (None: without an end), ``rate`` a second (None: at once), for how long."""

    seed: int
    trades: int | None
    rate: float | None
    duration_s: float | None


class Ended(Exception):
    """The worker is gone for good; ``code`` is what it ended with."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the worker has ended with exit code {code}; its last words are above")
        self.code = code


class OthersData(Exception):
    """The log in the data directory has messages, and no demo has written there."""


async def run(settings: Settings, plan: Plan, port: int | None, tell: Callable[[str], None]) -> bool:
    """Send and wait: True when all is decided and stored, False when the time was up.

    ``port``: where the pages are to be, None for the first that is free. ``tell`` is given what a person wants to know.
    Raises Ended, StoreError, ClientError, WorkerRunning (another worker has the data directory), OthersData.
    """
    await _alone(settings.data_dir, tell)
    async with EmbeddedClient.opened(settings.data_dir) as client:
        await make(client, settings)
        await _require_own(client, settings)
        with closing(Store.open(settings.database_url)) as store:
            store.ready()
        day = Day(settings.data_dir, plan.seed, now_ns() // NS_PER_MS)
        names = topics(settings.topic_prefix)
        counts = await client.topics()
        partitions = {name: counts[name] for name in names.inputs}
        # Before a worker reads on: the log's time has gone on meanwhile, perhaps beyond a grace.
        await day.finish(client, names, partitions)
        supervisor = Supervisor(port)
        watched = asyncio.create_task(_watched(supervisor))
        work = asyncio.create_task(_work(settings, plan, client, day, partitions, tell))
        counted = asyncio.create_task(_counted(settings, tell))
        try:
            await asyncio.wait({watched, work}, timeout=plan.duration_s, return_when=asyncio.FIRST_COMPLETED)
            if watched.done():
                raise Ended(watched.result())
            if work.done():
                work.result()
            return work.done()
        finally:
            for task in (watched, work, counted):
                task.cancel()
            await asyncio.to_thread(supervisor.stop)


async def _require_own(client: EmbeddedClient, settings: Settings) -> None:
    """OthersData where simulated trades would be mixed with real ones, which nobody could take apart again."""
    if (settings.data_dir / FILE).exists():
        return
    for topic in topics(settings.topic_prefix).inputs:
        if any((await client.ends(topic)).values()):
            raise OthersData(
                f"{settings.data_dir}: {topic} has messages that no demo has sent, and simulated trades would be mixed "
                "with them. Give the demo another directory: --data-dir"
            )


async def _work(  # noqa: PLR0917  # the parts of one run
    settings: Settings,
    plan: Plan,
    client: EmbeddedClient,
    day: Day,
    partitions: Mapping[str, int],
    tell: Callable[[str], None],
) -> None:
    names = topics(settings.topic_prefix)
    grace_ns = rules_in_force(settings).grace_ns
    sending = day.send(client, names, partitions, trades=plan.trades, rate=plan.rate, grace_s=grace_ns / NS_PER_S)
    async with aclosing(sending) as sent:
        async for _ in sent:
            pass
    # Nobody waits for a minute to pass: the log's time is put behind the last grace.
    await client.advance(grace_ns // NS_PER_MS + MARGIN_MS)
    at_ns = await client.now_ms() * NS_PER_MS
    trades = "1 trade is" if day.begun == 1 else f"{day.begun:,} trades are"
    messages = f"{day.sent:,} message{'s' * (day.sent != 1)}"
    tell(f"{trades} sent ({messages} now); waiting until each is decided and stored")
    with closing(Queries.open(settings.database_url)) as queries:
        while not await decided(client, queries, names, at_ns):
            await asyncio.sleep(LOOK_S)
        states = await asyncio.to_thread(queries.states)
    tell(_line(states))


async def _watched(supervisor: Supervisor) -> int:
    while (code := supervisor.look()) is None:
        await asyncio.sleep(LOOK_S)
    return code


async def _counted(settings: Settings, tell: Callable[[str], None]) -> None:
    """Say from time to time what there is."""
    with closing(Queries.open(settings.database_url)) as queries:
        while True:
            await asyncio.sleep(COUNTED_S)
            tell(_line(await asyncio.to_thread(queries.states)))


def _line(states: Mapping[State, int]) -> str:
    return ", ".join(f"{count:,} {state.lower()}" for state, count in states.items() if count) or "nothing yet"


async def _alone(directory: Path, tell: Callable[[str], None]) -> None:
    """Wait for the worker of a demo that was killed to be gone; WorkerRunning: there is one that stays."""
    directory.mkdir(parents=True, exist_ok=True)
    until = monotonic() + BEFORE_US_S
    told = False
    while True:
        try:
            WorkerLock(directory).release()
        except WorkerRunning:
            if monotonic() > until:
                raise
            if not told:
                tell(f"another worker has {directory}: waiting {BEFORE_US_S:g} s for it to end")
                told = True
            await asyncio.sleep(LOOK_S)
        else:
            return
