"""One run of the demo: start a worker, send the day to the log, until all trades are decided or it is stopped."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing, closing
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from traderecon.client.embedded_client import EmbeddedClient
from traderecon.clock import now_ns
from traderecon.demo import FILE
from traderecon.demo.completion import is_complete
from traderecon.demo.day import Day
from traderecon.demo.supervisor import Supervisor
from traderecon.preflight.topics import create_topics
from traderecon.records import State
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.rulebook import rules_in_force
from traderecon.settings import Settings
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport.log import WorkerLock, WorkerRunning

MARGIN_MS = 1_000
POLL_S = 0.25
REPORT_S = 10.0
PREVIOUS_WORKER_S = 10.0
"""The worker of a killed demo has ended after this time at the latest."""


class Plan(NamedTuple):
    """What to send: ``trades`` in total (None: no limit), ``rate`` per second (None: at once), and for how long."""

    seed: int
    trades: int | None
    rate: float | None
    duration_s: float | None


class WorkerEnded(Exception):
    """The worker ended and will not be restarted; ``code`` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the worker ended with exit code {code}; its last messages are above")
        self.code = code


class ForeignData(Exception):
    """The log in the data directory has messages that were not sent by a demo."""


async def run(settings: Settings, plan: Plan, port: int | None, report: Callable[[str], None]) -> bool:
    """Send and wait: True when all trades are decided and stored, False when the time is up.

    ``port``: of the pages, None for the first free one. ``report`` prints a message for the user.
    Raises WorkerEnded, StoreError, ClientError, WorkerRunning (another worker has the data directory), ForeignData.
    """
    await _wait_for_previous_worker(settings.data_dir, report)
    async with EmbeddedClient.open(settings.data_dir) as client:
        await create_topics(client, settings)
        await _reject_foreign_data(client, settings)
        with closing(Store.open(settings.database_url)) as store:
            store.prepare()
        day = Day(settings.data_dir, plan.seed, now_ns() // NS_PER_MS)
        names = topics(settings.topic_prefix)
        counts = await client.topics()
        partitions = {name: counts[name] for name in names.inputs}
        # Before the worker starts: the log's time has advanced meanwhile, perhaps beyond a grace.
        await day.finish(client, names, partitions)
        supervisor = Supervisor(port)
        supervision = asyncio.create_task(_supervise(supervisor))
        work = asyncio.create_task(_send_and_wait(settings, plan, client, day, partitions, report))
        reports = asyncio.create_task(_report_states(settings, report))
        try:
            await asyncio.wait({supervision, work}, timeout=plan.duration_s, return_when=asyncio.FIRST_COMPLETED)
            if supervision.done():
                raise WorkerEnded(supervision.result())
            if work.done():
                work.result()
            return work.done()
        finally:
            for task in (supervision, work, reports):
                task.cancel()
            await asyncio.to_thread(supervisor.stop)


async def _reject_foreign_data(client: EmbeddedClient, settings: Settings) -> None:
    """ForeignData if simulated trades would be mixed with other trades, which could not be undone."""
    if (settings.data_dir / FILE).exists():
        return
    for topic in topics(settings.topic_prefix).inputs:
        if any((await client.ends(topic)).values()):
            raise ForeignData(
                f"{settings.data_dir}: {topic} has messages that were not sent by a demo, and simulated trades would "
                "be mixed with them. Give the demo another directory with --data-dir"
            )


async def _send_and_wait(  # noqa: PLR0917  # the parts of one run
    settings: Settings,
    plan: Plan,
    client: EmbeddedClient,
    day: Day,
    partitions: Mapping[str, int],
    report: Callable[[str], None],
) -> None:
    names = topics(settings.topic_prefix)
    grace_ns = rules_in_force(settings).longest_grace_ns
    sending = day.send(client, names, partitions, trades=plan.trades, rate=plan.rate, grace_s=grace_ns / NS_PER_S)
    async with aclosing(sending) as sent:
        async for _ in sent:
            pass
    # Advance the log's time beyond the last grace instead of waiting for it.
    await client.advance(grace_ns // NS_PER_MS + MARGIN_MS)
    at_ns = await client.now_ms() * NS_PER_MS
    trades = "1 trade is" if day.begun == 1 else f"{day.begun:,} trades are"
    messages = f"{day.sent:,} message{'s' * (day.sent != 1)}"
    report(f"{trades} sent ({messages} in this run); waiting until all are decided and stored")
    with closing(Queries.open(settings.database_url)) as queries:
        while not await is_complete(client, queries, names, at_ns):
            await asyncio.sleep(POLL_S)
        states = await asyncio.to_thread(queries.states)
    report(_line(states))


async def _supervise(supervisor: Supervisor) -> int:
    """The exit code of the worker, once it is not restarted any more."""
    while (code := supervisor.poll()) is None:
        await asyncio.sleep(POLL_S)
    return code


async def _report_states(settings: Settings, report: Callable[[str], None]) -> None:
    """Report the number of trades in each state every ``REPORT_S``."""
    with closing(Queries.open(settings.database_url)) as queries:
        while True:
            await asyncio.sleep(REPORT_S)
            report(_line(await asyncio.to_thread(queries.states)))


def _line(states: Mapping[State, int]) -> str:
    return ", ".join(f"{count:,} {state.lower()}" for state, count in states.items() if count) or "nothing yet"


async def _wait_for_previous_worker(directory: Path, report: Callable[[str], None]) -> None:
    """Wait until the worker of a killed demo has ended; WorkerRunning: a worker keeps running."""
    directory.mkdir(parents=True, exist_ok=True)
    until_s = monotonic() + PREVIOUS_WORKER_S
    reported = False
    while True:
        try:
            WorkerLock(directory).release()
        except WorkerRunning:
            if monotonic() > until_s:
                raise
            if not reported:
                report(f"another worker uses {directory}: waiting {PREVIOUS_WORKER_S:g} s for it to end")
                reported = True
            await asyncio.sleep(POLL_S)
        else:
            return
