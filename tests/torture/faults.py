"""Faults: inject one, check that it took effect, undo it.

    Fault -> FaultInjector.inject -> what was observed

A fault without an observed effect raises NotObserved; it is undone all the same.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from broker.kafka_cluster import Cluster
from broker.kafka_server import Kafka

from torture.administrator import Administrator
from torture.broker_faults import BrokerFaults
from torture.feeder import Feeder
from torture.group import UNREACHABLE, Watch
from torture.held_database import LockedDatabase
from torture.lost_topics import LostTopics
from torture.other_producers import OtherProducers
from torture.plan import Fault
from torture.proxy import HELD_DIRECTIONS, Proxy
from torture.quota import throttle_ms
from torture.reported_clock import JumpingClock
from torture.tight_disk import TightDisk
from torture.waiting import POLL_S, Missed, NotObserved, wait_until
from torture.workers import FAIL_STOP, TERMINATED, Worker

OBSERVED_WITHIN_S = 240
REFUSED_WITHIN_S = 80
TOO_SMALL, AMPLE = "10", "4194304"
SIZE = "max.message.bytes"
STALLED_S = 4
"""The workers are stalled if nothing is committed for so long."""
REFUSED = 78
CLOCK_WITHIN_S = 1.0


class FaultResources(NamedTuple):
    """What some kinds of faults need, if the plan has these kinds.

    ``jvm``: the one thread that starts the broker. ``backlog``: counts the outputs that are not in the database yet.
    """

    jvm: ThreadPoolExecutor
    proxy: Proxy | None
    disk: TightDisk | None
    clocks: Mapping[str, JumpingClock]
    locked_database: LockedDatabase | None
    backlog: Callable[[], int]
    feeder: Feeder | None = None
    administrator: Administrator | None = None


class FaultInjector:
    """Injects each kind of fault. ``topics``: full names by role."""

    def __init__(
        self,
        kafka: Kafka | Cluster,
        watch: Watch,
        workers: Mapping[str, Worker],
        topics: Mapping[str, str],
        resources: FaultResources,
    ) -> None:
        self._kafka = kafka
        self._watch = watch
        self._workers = workers
        self._topics = topics
        self._resources = resources
        self._handlers: dict[str, Callable[[Fault], Awaitable[str]]] = {
            "kill": self._kill,
            "wipe": self._wipe,
            "stop": self._stop,
            "leave": self._leave,
            "join": self._join,
            "bounce": self._bounce,
            "quota": self._quota,
            "refuse": self._refuse,
            "proxy": self._proxy,
            "disk": self._disk,
            "clock": self._clock,
            "slow-db": self._slow_db,
        }
        if isinstance(kafka, Cluster):
            self._handlers |= BrokerFaults(kafka, watch, workers, topics, resources.jvm).kinds
        if (feeder := resources.feeder) is not None:
            others = OtherProducers(kafka, topics, feeder)
            self._handlers |= {"codec": others.codec, "transaction": others.transaction, "step": others.step}
            if (administrator := resources.administrator) is not None:
                lost = LostTopics(watch, workers, administrator, feeder)
                self._handlers |= {"changelog": lost.changelog, "recreate": lost.recreate}

    async def wait_for_target(self, fault: Fault) -> None:
        """Wait until the target of the fault is consuming. Raises NotObserved."""
        if fault.kind == "join":
            return
        target = fault.worker or fault.target
        targets = [self._workers[target]] if target in self._workers else [*self._workers.values()]
        await wait_until(lambda: any(worker.consuming for worker in targets), f"{target} is at work", OBSERVED_WITHIN_S)

    async def inject(self, fault: Fault) -> str:
        """Inject a fault and undo it; returns what was observed. Raises NotObserved, or Missed to be retried."""
        return await self._handlers[fault.kind](fault)

    async def _kill(self, fault: Fault) -> str:
        worker = self._workers[fault.target]
        try:
            observed = await self._end(worker, signal.SIGKILL)
            await asyncio.sleep(fault.hold_s)
        finally:
            worker.go()
        return observed

    async def _wipe(self, fault: Fault) -> str:
        worker = self._workers[fault.target]
        try:
            observed = await self._end(worker, signal.SIGKILL)
            files = await asyncio.to_thread(worker.wipe)
            if not files:
                raise NotObserved("there was nothing on its disk")
            await asyncio.sleep(fault.hold_s)
        finally:
            worker.go()
        return f"{observed}, {files} files removed"

    async def _leave(self, fault: Fault) -> str:
        worker = self._workers[fault.target]
        try:
            observed = await self._end(worker, signal.SIGTERM)
            await asyncio.sleep(fault.hold_s)
        finally:
            worker.go()
        return observed

    async def _join(self, fault: Fault) -> str:
        joining = [self._workers[name] for name in fault.target.split("+")]
        for worker in joining:
            worker.go()

        def partitions_shared() -> bool:
            """Every joining worker is a member; with more processes than partitions, it may have none."""
            assigned = {number for member in self._watch.members.values() for number in member.partitions}
            return all(worker.members for worker in joining) and len(assigned) == self._watch.partitions

        try:
            await wait_until(
                partitions_shared, f"{fault.target} are members, and every partition has one", OBSERVED_WITHIN_S
            )
            observed = ", ".join(f"{worker.name} got {worker.partitions or 'none'}" for worker in joining)
            await asyncio.sleep(fault.hold_s)
        finally:
            codes = await asyncio.gather(*(worker.end(signal.SIGTERM) for worker in joining))
        if {FAIL_STOP, TERMINATED, -signal.SIGTERM} & set(codes):  # it had exited by itself, or was restarting
            raise Missed(f"ended with {codes} first")
        if any(codes):
            raise NotObserved(f"{observed}, but ended with {codes}")
        return f"{observed}, exit 0"

    async def _stop(self, fault: Fault) -> str:
        worker = self._workers[fault.target]
        if not (member_ids := {member.member_id for member in worker.members}):
            raise Missed(f"{worker.name} is no member")

        def left_group() -> bool:
            return self._watch.broker_up and not member_ids & {member.member_id for member in worker.members}

        worker.send(signal.SIGSTOP)
        try:
            await wait_until(left_group, f"the group lost {fault.target}", OBSERVED_WITHIN_S)
            remaining = ", ".join(self._watch.members) or "nobody"
            await asyncio.sleep(fault.hold_s)
            if not worker.running:
                raise Missed(f"{worker.name} ended first")
        finally:
            worker.send(signal.SIGCONT)
        return f"the group lost it; {remaining} left"

    async def _bounce(self, fault: Fault) -> str:
        assert isinstance(self._kafka, Kafka)
        loop = asyncio.get_running_loop()
        with self._watch.allow_exits(UNREACHABLE):  # clients notice before the watch polls
            await loop.run_in_executor(self._resources.jvm, self._kafka.kill)
            killed_at_s = time.monotonic()
            try:
                host, port = self._kafka.address.rsplit(":", 1)
                with contextlib.suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    raise NotObserved("somebody still listens on its port")
                await asyncio.sleep(fault.hold_s)
            finally:
                await loop.run_in_executor(self._resources.jvm, self._kafka.start)
        return f"refused connections, up again after {time.monotonic() - killed_at_s:.1f} s"

    async def _quota(self, fault: Fault) -> str:
        await wait_until(lambda: bool(self._watch.members), "the group has members", OBSERVED_WITHIN_S)
        client_id = next(iter(self._watch.members.values())).client_id
        await asyncio.to_thread(self._kafka.throttle, None, fault.limit)
        try:
            async with asyncio.timeout(OBSERVED_WITHIN_S):
                while not await self._held_back_s(client_id):
                    await asyncio.sleep(POLL_S)
            await asyncio.sleep(fault.hold_s)
            throttled_s = await self._held_back_s(client_id)
        except TimeoutError:
            raise NotObserved(f"{client_id} was never throttled at {fault.limit} B/s") from None
        finally:
            await asyncio.to_thread(self._kafka.throttle, None, None)
        await asyncio.sleep(throttled_s)  # the broker still throttles after the quota is removed
        return f"{client_id} was held back {throttled_s:.1f} s at {fault.limit} B/s"

    async def _held_back_s(self, client_id: str) -> float:
        return await throttle_ms(self._kafka.address, client_id, self._topics["probe"]) / 1000

    async def _refuse(self, fault: Fault) -> str:
        topic, before = self._topics[fault.target], time.monotonic()
        await asyncio.to_thread(self._kafka.alter_topic, topic, {SIZE: TOO_SMALL})
        try:
            await wait_until(lambda: self._exited_since(before) != "", "a worker ended with 70", REFUSED_WITHIN_S)
            await asyncio.sleep(fault.hold_s)
        finally:
            await asyncio.to_thread(self._kafka.alter_topic, topic, {SIZE: AMPLE})
        return f"exit 70 of {self._exited_since(before)}"

    async def _proxy(self, fault: Fault) -> str:
        proxy, mode = self._resources.proxy, fault.target
        assert proxy is not None
        with self._watch.allow_exits(UNREACHABLE):
            proxy.cut(mode, fault.limit)
            try:
                directions = HELD_DIRECTIONS.get(mode, {mode})
                await wait_until(
                    lambda: all(proxy.affected[direction] for direction in directions),
                    f"{mode} touched something",
                    OBSERVED_WITHIN_S,
                )
                await asyncio.sleep(fault.hold_s)
            finally:
                proxy.heal()
        match mode:
            case "reset":
                return f"{proxy.affected[mode]} connections reset"
            case "delay":
                return f"{proxy.affected[mode]} chunks came {fault.limit} ms late"
            case _:
                held = (f"{proxy.affected[direction]} bytes of {direction}" for direction in sorted(directions))
                return f"held {', '.join(held)}"

    async def _disk(self, fault: Fault) -> str:
        disk, before = self._resources.disk, time.monotonic()
        assert disk is not None

        def no_progress() -> bool:
            return time.monotonic() - max(before, self._watch.last_commit_s) > STALLED_S

        with self._watch.allow_exits(UNREACHABLE, REFUSED):
            try:
                # Space that the workers free meanwhile is filled as well.
                async with asyncio.timeout(OBSERVED_WITHIN_S):
                    while True:
                        filled_bytes = await asyncio.to_thread(disk.fill)
                        if disk.full and (no_progress() or self._exited_since(before)):
                            break
                        await asyncio.sleep(POLL_S)
                await asyncio.sleep(fault.hold_s)
            except TimeoutError:
                raise NotObserved("the workers went on without a disk") from None
            finally:
                await asyncio.to_thread(disk.empty)
        exited = self._exited_since(before)
        return f"full with {filled_bytes} bytes, {f'exit 70 of {exited}' if exited else 'no worker made progress'}"

    async def _clock(self, fault: Fault) -> str:
        clock, worker = self._resources.clocks[fault.target], self._workers[fault.target]

        def reads(shift_s: int) -> bool:
            reported_s = clock.shift_s
            return reported_s is not None and abs(reported_s - shift_s) < CLOCK_WITHIN_S

        clock.jump(fault.limit)
        try:
            description = f"{worker.name} reads a clock {fault.limit:+d} s off"
            await wait_until(lambda: reads(fault.limit) or not worker.running, description, OBSERVED_WITHIN_S)
            await asyncio.sleep(fault.hold_s)
            if not worker.running:
                raise Missed(f"{worker.name} ended first")
            observed = f"it read {clock.shift_s:+.1f} s" if clock.shift_s is not None else "it said nothing"
        finally:
            clock.jump(0)
        return f"{observed} for {fault.hold_s} s"

    async def _slow_db(self, fault: Fault) -> str:
        database = self._resources.locked_database
        assert database is not None
        await asyncio.to_thread(database.hold)
        try:
            locked_at_s = time.monotonic()
            async with asyncio.timeout(OBSERVED_WITHIN_S):
                while not await asyncio.to_thread(self._resources.backlog):
                    await asyncio.sleep(POLL_S)
            await asyncio.sleep(fault.hold_s)
            waiting = await asyncio.to_thread(self._resources.backlog)
        except TimeoutError:
            raise NotObserved("nothing waited for the database") from None
        finally:
            await asyncio.to_thread(database.release)
        return f"locked {time.monotonic() - locked_at_s:.1f} s, {waiting} records waited"

    async def _end(self, worker: Worker, number: signal.Signals) -> str:
        """End a worker by a signal. Raises NotObserved for another exit code, Missed if it had exited before."""
        expected = 0 if number == signal.SIGTERM else -number
        partitions = worker.partitions
        code = await worker.end(number)
        if code in {FAIL_STOP, TERMINATED}:
            raise Missed(f"{worker.name} ended with {code} first")
        if code != expected:
            raise NotObserved(f"ended with {code}, not {expected}")
        return f"exit {code}, had {partitions}"

    def _exited_since(self, since_s: float) -> str:
        """The workers that have exited with 70, unrequested, since then."""
        return " ".join(
            worker.name
            for worker in self._workers.values()
            if any(exit_.code == FAIL_STOP and not exit_.requested and exit_.at_s >= since_s for exit_ in worker.exits)
        )
