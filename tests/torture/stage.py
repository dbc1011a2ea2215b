"""Stage: the broker, the workers and their monitors, for one run in one directory.

    Plan + workload -> Stage: open -> look, settle, restart, end

The oracle judges what is read here straight from the broker, not through the product's client.
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
from torture.faults import FaultResources
from torture.feeder import Feeder
from torture.group import Watch
from torture.held_database import LockedDatabase
from torture.hygiene import Hygiene
from torture.pipeline_workload import Pipeline
from torture.plan import Plan, joiners
from torture.proxy import ProxiedKafka
from torture.readiness import Readiness
from torture.reported_clock import JumpingClock
from torture.tight_disk import TightDisk
from torture.waiting import NotObserved, wait_until
from torture.workers import Worker
from torture.workload import History, Start, Workload

SETTLE_S = 60
GIVE_UP_S = 10
START_S = 90
POLL_EVERY_S = 0.25
WORKLOADS: dict[str, type[Workload]] = {"ours": Counting, "stock": Stock, "pipeline": Pipeline}


class Settled(NamedTuple):
    """When a run settled, or what was still open at the timeout; and the history at that time."""

    took_s: float
    still_open: list[str]
    history: History


class Stage:
    """Everything a run needs. Nothing runs before ``open``."""

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
        self.resources = FaultResources(
            self.jvm,
            self.kafka.proxy if isinstance(self.kafka, ProxiedKafka) else None,
            self.disk,
            self.clocks,
            None if database is None else LockedDatabase(database),
            self.workload.backlog,
            self.feeder,
            self.workload.administrator,
        )
        self.workers = {
            name: Worker(name, self._start_of(name), directory / f"{name}.log", self.watch) for name in names
        }
        names = names[: plan.workers]
        self.readiness = Readiness(self.workers.values(), self.workload.ready)
        self.regular_workers = [self.workers[name] for name in names]

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Start the broker and the workers, and stop all of them however the run ends."""
        loop = asyncio.get_running_loop()
        if self.disk is not None:
            self.disk.mount()
        try:
            if self.resources.proxy is not None:
                await self.resources.proxy.start()
            await loop.run_in_executor(self.jvm, self.kafka.start)
            await asyncio.to_thread(self.workload.create)
            async with asyncio.TaskGroup() as tasks:
                background = [tasks.create_task(self.watch.keep_polling())]
                background.append(tasks.create_task(self.hygiene.keep_polling(self.workers.values())))
                background.append(tasks.create_task(self.readiness.keep_polling()))
                background += [tasks.create_task(worker.keep()) for worker in self.workers.values()]
                for worker in self.regular_workers:
                    worker.go()
                await self.assigned()
                yield
                for task in background:
                    task.cancel()
        finally:
            await loop.run_in_executor(self.jvm, self.kafka.stop)
            self.jvm.shutdown()
            if self.resources.proxy is not None:
                await self.resources.proxy.stop()
            if self.disk is not None:
                self.disk.unmount()

    async def assigned(self) -> None:
        """Wait until the regular workers share all partitions. Raises NotObserved."""

        def all_assigned() -> bool:
            members = [worker.members for worker in self.regular_workers]
            assigned = {number for group in members for member in group for number in member.partitions}
            return all(members) and len(assigned) == self.workload.partitions

        description = f"{len(self.regular_workers)} workers share {self.workload.partitions} partitions"
        await wait_until(all_assigned, description, START_S * self.plan.brokers)

    def read(self) -> History:
        """The history up to now. Raises OSError or BrokerError."""
        acknowledged = {role: list(entries) for role, entries in self.feeder.acknowledged.items()}
        return self.workload.read(acknowledged, self.feeder.last_ack_s)

    async def look(self) -> History:
        """``read``, retried until the broker answers. Raises NotObserved if it does not."""
        deadline = time.monotonic() + START_S * self.plan.brokers
        while True:
            try:
                return await asyncio.to_thread(self.read)
            except (OSError, BrokerError) as error:
                if time.monotonic() > deadline:
                    raise NotObserved(f"the broker does not answer: {error}") from error
            await asyncio.sleep(POLL_EVERY_S)

    async def settle(self) -> Settled:
        """Wait until everything is committed and every output there, for SETTLE_S per broker at most.

        Committed input is not read again: an output still missing GIVE_UP_S after the commit will not come.
        """
        started_s = time.monotonic()
        last_busy_s = started_s
        while True:
            history = await self.look()
            now_s = time.monotonic()
            settled = Settled(now_s - started_s, await asyncio.to_thread(history.unsettled), history)
            if history.busy:
                last_busy_s = now_s
            if (
                not settled.still_open
                or settled.took_s > SETTLE_S * self.plan.brokers
                or now_s - last_busy_s > GIVE_UP_S
            ):
                return settled
            await asyncio.sleep(POLL_EVERY_S)

    async def restart(self) -> None:
        """Stop every worker in order and start it again. Raises NotObserved if one does not come back."""
        await self.end()
        for worker in self.regular_workers:
            worker.go()
        await self.assigned()

    def _start_of(self, name: str) -> Start:
        """How to start a worker, with its clock if that jumps."""
        start = self.workload.start(name)
        clock = self.clocks.get(name)
        return start._replace(environment={**start.environment, **clock.environment}) if clock is not None else start

    async def end(self) -> None:
        """Stop every worker in order, for good."""
        await asyncio.gather(*(worker.end(signal.SIGTERM) for worker in self.regular_workers))
