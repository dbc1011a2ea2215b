"""Stage: the broker, the workers and everybody who watches, for one run in one directory.

    Plan + workload -> Stage: open -> look, settle, restart, end

The oracle gets what was read here, straight from the broker, by nobody's client.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from broker.kafka_cluster import Cluster
from broker.kafka_server import Kafka
from broker.kafka_wire import BrokerError

from torture.counting_workload import Counting, Stock
from torture.faults import Means
from torture.feeder import Feeder
from torture.group import Watch
from torture.held_database import HeldDatabase
from torture.hygiene import Hygiene
from torture.pipeline_workload import Pipeline
from torture.plan import Plan, joiners
from torture.proxy import ProxiedKafka
from torture.readiness import Readiness
from torture.seen import NotSeen, seen
from torture.tight_disk import TightDisk
from torture.told_time import JumpingClock
from torture.workers import Worker
from torture.workload import History, Start, Workload

SETTLE_S = 60
GIVE_UP_S = 10
START_S = 90
LOOK_EVERY_S = 0.25
WORKLOADS: dict[str, type[Workload]] = {"ours": Counting, "stock": Stock, "pipeline": Pipeline}


class Settled(NamedTuple):
    """How it settled: after how long, or what was still open when nobody waited any more, and the history then."""

    took_s: float
    still_open: list[str]
    history: History


class Stage:
    """Everything a run needs. Made it is silent; ``open`` starts it."""

    def __init__(self, plan: Plan, bug: str, directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        kinds = {fault.kind for fault in plan.faults}
        self.kafka: Kafka | Cluster
        if plan.brokers > 1:
            self.kafka = Cluster(directory / "kafka")
        else:
            self.kafka = ProxiedKafka(directory / "kafka") if "proxy" in kinds else Kafka(directory / "kafka")
        self.hygiene = Hygiene()
        self.jvm = ThreadPoolExecutor(1, "jvm")
        self.workload = WORKLOADS[plan.workload](f"t{plan.seed}", bug, directory, self.kafka)
        self.feeder = Feeder(self.kafka.address, self.workload.topics)
        self.watch = Watch(self.kafka, self.workload.group, self.workload.watched, self.workload.partitions)
        names = [f"w{number}" for number in range(1, plan.workers + 1)]
        names += joiners(plan.workers) if "join" in kinds else []
        self.clocks = {name: JumpingClock(directory, name) for name in names if "clock" in kinds}
        self.disk = TightDisk(self.workload.data_dir) if "disk" in kinds else None
        database = self.workload.database
        self.means = Means(
            self.jvm,
            self.kafka.proxy if isinstance(self.kafka, ProxiedKafka) else None,
            self.disk,
            self.clocks,
            None if database is None else HeldDatabase(database),
            self.workload.backlog,
            self.feeder,
            self.workload.administrator,
        )
        self.crew = {name: Worker(name, self._start(name), directory / f"{name}.log", self.watch) for name in names}
        names = names[: plan.workers]
        self.readiness = Readiness(self.crew.values(), self.workload.ready)
        self.staff = [self.crew[name] for name in names]

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Start the broker and the workers, and end all of them however the run ends."""
        loop = asyncio.get_running_loop()
        if self.disk is not None:
            self.disk.mount()
        try:
            if self.means.proxy is not None:
                await self.means.proxy.start()
            await loop.run_in_executor(self.jvm, self.kafka.start)
            await asyncio.to_thread(self.workload.create)
            async with asyncio.TaskGroup() as tasks:
                keeping = [tasks.create_task(self.watch.keep_looking())]
                keeping.append(tasks.create_task(self.hygiene.keep_looking(self.crew.values())))
                keeping.append(tasks.create_task(self.readiness.keep_looking()))
                keeping += [tasks.create_task(worker.keep()) for worker in self.crew.values()]
                for worker in self.staff:
                    worker.go()
                await self.assigned()
                yield
                for task in keeping:
                    task.cancel()
        finally:
            await loop.run_in_executor(self.jvm, self.kafka.stop)
            self.jvm.shutdown()
            if self.means.proxy is not None:
                await self.means.proxy.stop()
            if self.disk is not None:
                self.disk.unmount()

    async def assigned(self) -> None:
        """Wait until every worker of the staff is at work on its partitions. Raises NotSeen."""

        def all_have_theirs() -> bool:
            members = [worker.members for worker in self.staff]
            taken = {number for each in members for member in each for number in member.partitions}
            return all(members) and len(taken) == self.workload.partitions

        what = f"{len(self.staff)} workers share {self.workload.partitions} partitions"
        await seen(all_have_theirs, what, START_S * self.plan.brokers)

    def read(self) -> History:
        """What is there to judge by now. Raises OSError or Refused."""
        acknowledged = {role: list(entries) for role, entries in self.feeder.acknowledged.items()}
        return self.workload.read(acknowledged, self.feeder.fed_at_s)

    async def look(self) -> History:
        """What ``read`` says as soon as the broker answers. Raises NotSeen where it stays silent."""
        deadline = time.monotonic() + START_S * self.plan.brokers
        while True:
            try:
                return await asyncio.to_thread(self.read)
            except (OSError, BrokerError) as why:
                if time.monotonic() > deadline:
                    raise NotSeen(f"the broker does not answer: {why}") from why
            await asyncio.sleep(LOOK_EVERY_S)

    async def settle(self) -> Settled:
        """Wait until everything is committed and every output there, for SETTLE_S per broker at most.

        What is committed is not read again: an output still missing GIVE_UP_S after that will not come.
        """
        began = time.monotonic()
        busy = began
        while True:
            history = await self.look()
            now = time.monotonic()
            settled = Settled(now - began, await asyncio.to_thread(history.unsettled), history)
            if history.busy:
                busy = now
            if not settled.still_open or settled.took_s > SETTLE_S * self.plan.brokers or now - busy > GIVE_UP_S:
                return settled
            await asyncio.sleep(LOOK_EVERY_S)

    async def restart(self) -> None:
        """End every worker in order and start it again. Raises NotSeen where one does not come back."""
        await self.end()
        for worker in self.staff:
            worker.go()
        await self.assigned()

    def _start(self, name: str) -> Start:
        """How a worker is started, its clock included where one jumps."""
        how = self.workload.start(name)
        clock = self.clocks.get(name)
        return how._replace(environment={**how.environment, **clock.environment}) if clock is not None else how

    async def end(self) -> None:
        """End every worker in order, for good."""
        await asyncio.gather(*(worker.end(signal.SIGTERM) for worker in self.staff))
