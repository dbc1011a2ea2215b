"""Two roles in one process: what does one feel of the other's trouble?

    PYTHONPATH=tests python -m benchmarks.roles [--rate 200] [--seconds 8] [--rounds 1]

Apps a and b on our transport, each with a group of its own, are services of one worker on a real Kafka; each passes
on what it reads. Latency is from the produce call to the arrival of the output at a consumer in this process; a record
belongs to the act in which it was produced, and every one must arrive. The acts:

    steady          nothing happens
    a peer joins    a second process joins a's group
    it is killed    SIGKILL; a's group notices after the session timeout of 3 s, and not before
    a waits         one record for which a's agent awaits 5 s, as on a slow database
    a blocks        one record for which a's agent blocks the event loop for 1 s: the one fault that b must feel
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from itertools import count
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import aiokafka

from benchmarks.feed import PARTITIONS, KafkaLog
from benchmarks.jobs import work_on

ROLES = ("a", "b")
SESSION_S = 3
WAIT, WAIT_S = b"wait", 5
BLOCK, BLOCK_S = b"block", 1
PATIENCE_S = 60
LOOK_EVERY_S = 0.05
BETWEEN = ""
"""No act: what is sent then is not counted, but must arrive."""


def worker(address: str, roles: tuple[str, ...], directory: Path) -> None:
    """A process with an app for each role."""
    work_on(*(echo(address, role, directory / role) for role in roles))


def echo(address: str, role: str, directory: Path) -> Any:
    """An app that passes on what it reads, and stumbles where it is told to."""
    from traderecon.transport import Outgoing
    from traderecon.transport.app import StreamApp, Timing

    app = StreamApp(role, broker=f"kafka://{address}", data_dir=directory, timing=Timing(session_s=SESSION_S))
    name = b"%d" % os.getpid()

    async def agent(batches: Any) -> None:
        async for batch in batches:
            for record in batch:
                if record.value == WAIT:
                    await asyncio.sleep(WAIT_S)
                elif record.value == BLOCK:
                    time.sleep(BLOCK_S)
            await app.append(f"{role}-out", batch.partition, [Outgoing(name, record.value) for record in batch])

    app.agent(app.topic(f"{role}-in"), name=f"echo-{role}")(agent)
    return app


class Traffic:
    """Numbered records to every role at a steady rate, and how long each took to come through, by act."""

    def __init__(self, producer: Any, consumer: Any, rate: float) -> None:
        self.act = BETWEEN
        self.taken_s: dict[tuple[str, str], list[float]] = {}
        self._producer = producer
        self._consumer = consumer
        self._every_s = 1 / rate
        self._on_the_way: dict[tuple[str, bytes], tuple[str, float]] = {}
        self._workers: set[bytes] = set()

    def begin(self, act: str) -> None:
        """What is produced from now on belongs to this act."""
        print(act, file=sys.stderr)
        self.act = act

    async def produce(self) -> None:
        """Send to every role, for ever; late ticks are caught up with."""
        began = time.perf_counter()
        for number in count():
            await asyncio.sleep(began + number * self._every_s - time.perf_counter())
            for role in ROLES:
                value = b"%d" % number
                self._on_the_way[role, value] = self.act, time.perf_counter()
                await self.send(role, value, number % PARTITIONS)

    async def send(self, role: str, value: bytes, partition: int = 0) -> None:
        """One record to a role."""
        await self._producer.send(f"{role}-in", value, partition=partition)

    async def receive(self) -> None:
        """Note when each record comes through for the first time: after a kill it may come again."""
        async for record in self._consumer:
            role = record.topic.removesuffix("-out")
            self._workers.add(record.key)
            if (sent := self._on_the_way.pop((role, record.value), None)) is not None:
                act, sent_at = sent
                self.taken_s.setdefault((act, role), []).append(time.perf_counter() - sent_at)

    async def arrived(self) -> None:
        """Wait until everything sent up to now has come through."""
        sent = set(self._on_the_way)
        await self._until(lambda: not sent & self._on_the_way.keys(), "every record sent has come through")

    async def works(self, process: BaseProcess) -> None:
        """Wait until something has come through this process."""
        await self._until(lambda: b"%d" % (process.pid or 0) in self._workers, "the new worker has done something")

    async def _until(self, found: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not found():
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE_S} s: {what}")
            await asyncio.sleep(LOOK_EVERY_S)


async def play(address: str, directory: Path, rate: float, act_s: float, rounds: int) -> Traffic:
    """All acts, one after the other, on one worker; gives what was measured."""
    spawn = get_context("spawn")

    def start(name: str, *roles: str) -> BaseProcess:
        process = spawn.Process(target=worker, args=(address, roles, directory / name), daemon=True)
        process.start()
        return process

    async with (
        aiokafka.AIOKafkaProducer(bootstrap_servers=address) as producer,
        aiokafka.AIOKafkaConsumer(
            *(f"{role}-out" for role in ROLES), bootstrap_servers=address, auto_offset_reset="earliest"
        ) as consumer,
    ):
        traffic = Traffic(producer, consumer, rate)

        async def last() -> None:
            await asyncio.sleep(act_s)
            traffic.act = BETWEEN  # what is sent from now on may meet the next act on its way
            await traffic.arrived()

        main_worker = start("main", *ROLES)
        tasks = [asyncio.create_task(each()) for each in (traffic.produce, traffic.receive)]
        await traffic.works(main_worker)
        await traffic.arrived()
        for number in range(rounds):
            traffic.begin("steady")
            await last()
            traffic.begin("a peer joins")
            peer = start(f"peer-{number}", "a")
            await traffic.works(peer)
            await last()
            traffic.begin("it is killed")
            peer.kill()
            await last()
            traffic.begin("a waits")
            await traffic.send("a", WAIT)
            await last()
            traffic.begin("a blocks")
            await traffic.send("a", BLOCK)
            await last()
        for task in tasks:
            task.cancel()
        main_worker.terminate()
        await asyncio.to_thread(main_worker.join, PATIENCE_S)
        if main_worker.exitcode != 0:
            raise SystemExit(f"the worker was asked to stop, and ended with {main_worker.exitcode}")
    return traffic


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rate", type=float, default=200, help="records a second to each role")
    arguments.add_argument("--seconds", type=float, default=8, help="of each act")
    arguments.add_argument("--rounds", type=int, default=1)
    chosen = arguments.parse_args()
    with TemporaryDirectory(prefix="traderecon-bench-") as folder:
        kafka = KafkaLog(Path(folder) / "kafka")
        try:
            kafka.start()
            for role in ROLES:
                kafka.create_topic(f"{role}-in", PARTITIONS)
                kafka.create_topic(f"{role}-out", PARTITIONS)
            traffic = asyncio.run(play(kafka.address, Path(folder), chosen.rate, chosen.seconds, chosen.rounds))
        finally:
            kafka.stop()
    print(f"{chosen.rate:.0f} records/s to each role, {os.cpu_count()} processors, {chosen.rounds} rounds; ms")
    print(f"{'':14}" + "".join(f"{role + ': records':>12} {'p50':>7} {'p99':>8} {'max':>8}" for role in ROLES))
    for name in dict.fromkeys(act for act, _ in traffic.taken_s if act != BETWEEN):
        columns = []
        for role in ROLES:
            taken_ms = [1_000 * each for each in traffic.taken_s[name, role]]
            cuts = quantiles(taken_ms, n=100)
            columns.append(f"{len(taken_ms):12,} {cuts[49]:7.1f} {cuts[98]:8.1f} {max(taken_ms):8.1f}")
        print(f"{name:14}" + "".join(columns))


if __name__ == "__main__":
    main()
