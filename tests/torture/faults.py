"""Faults: do one thing that goes wrong, see that it really happened, undo it.

    Fault -> Deeds.do -> what was observed

A fault that nobody saw happen raises NotSeen, and is undone all the same.
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
from torture.broker_faults import BrokerDeeds
from torture.feeder import Feeder
from torture.group import UNREACHABLE, Watch
from torture.held_database import HeldDatabase
from torture.lost_topics import LostTopics
from torture.other_producers import OtherProducers
from torture.plan import Fault
from torture.proxy import HELD, Proxy
from torture.quota import throttle_ms
from torture.seen import POLL_S, Missed, NotSeen, seen
from torture.tight_disk import TightDisk
from torture.told_time import JumpingClock
from torture.workers import FAIL_STOP, TERMINATED, Worker

SEEN_WITHIN_S = 240
REFUSED_WITHIN_S = 80
TOO_SMALL, AMPLE = "10", "4194304"
SIZE = "max.message.bytes"
STILL_S = 4
"""Nothing is committed for so long: the workers stand still."""
REFUSED = 78
CLOCK_WITHIN_S = 1.0


class Means(NamedTuple):
    """What some kinds of faults need, there where the plan has them.

    ``jvm``: the one thread that starts the broker. ``backlog``: outputs that are not in the database yet.
    """

    jvm: ThreadPoolExecutor
    proxy: Proxy | None
    disk: TightDisk | None
    clocks: Mapping[str, JumpingClock]
    database: HeldDatabase | None
    backlog: Callable[[], int]
    feeder: Feeder | None = None
    administrator: Administrator | None = None


class Deeds:
    """The kinds of faults. ``topics`` has the names of ``probe`` and what a plan refuses."""

    def __init__(
        self, kafka: Kafka | Cluster, watch: Watch, crew: Mapping[str, Worker], topics: Mapping[str, str], means: Means
    ) -> None:
        self._kafka = kafka
        self._watch = watch
        self._crew = crew
        self._topics = topics
        self._means = means
        self._deeds: dict[str, Callable[[Fault], Awaitable[str]]] = {
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
            self._deeds |= BrokerDeeds(kafka, watch, crew, topics, means.jvm).kinds
        if (feeder := means.feeder) is not None:
            others = OtherProducers(kafka, topics, feeder)
            self._deeds |= {"codec": others.codec, "transaction": others.transaction, "step": others.step}
            if (administrator := means.administrator) is not None:
                lost = LostTopics(watch, crew, administrator, feeder)
                self._deeds |= {"changelog": lost.changelog, "recreate": lost.recreate}

    async def wait_for_target(self, fault: Fault) -> None:
        """Wait until the fault would hit somebody at work. Raises NotSeen."""
        if fault.kind == "join":
            return
        target = fault.worker or fault.target
        hit = [self._crew[target]] if target in self._crew else [*self._crew.values()]
        await seen(lambda: any(worker.consuming for worker in hit), f"{target} is at work", SEEN_WITHIN_S)

    async def do(self, fault: Fault) -> str:
        """Do it and undo it; what was observed. Raises NotSeen, or Missed where another try is due."""
        return await self._deeds[fault.kind](fault)

    async def _kill(self, fault: Fault) -> str:
        worker = self._crew[fault.target]
        try:
            observed = await self._end(worker, signal.SIGKILL)
            await asyncio.sleep(fault.hold_s)
        finally:
            worker.go()
        return observed

    async def _wipe(self, fault: Fault) -> str:
        worker = self._crew[fault.target]
        try:
            observed = await self._end(worker, signal.SIGKILL)
            files = await asyncio.to_thread(worker.wipe)
            if not files:
                raise NotSeen("there was nothing on its disk")
            await asyncio.sleep(fault.hold_s)
        finally:
            worker.go()
        return f"{observed}, {files} files removed"

    async def _leave(self, fault: Fault) -> str:
        worker = self._crew[fault.target]
        try:
            observed = await self._end(worker, signal.SIGTERM)
            await asyncio.sleep(fault.hold_s)
        finally:
            worker.go()
        return observed

    async def _join(self, fault: Fault) -> str:
        joining = [self._crew[name] for name in fault.target.split("+")]
        for worker in joining:
            worker.go()

        def shared() -> bool:
            """There may be more processes than partitions: who comes is a member, and may be left without any."""
            owned = {number for member in self._watch.members.values() for number in member.partitions}
            return all(worker.members for worker in joining) and len(owned) == self._watch.partitions

        try:
            await seen(shared, f"{fault.target} are members, and every partition has one", SEEN_WITHIN_S)
            observed = ", ".join(f"{worker.name} got {worker.partitions or 'none'}" for worker in joining)
            await asyncio.sleep(fault.hold_s)
        finally:
            codes = await asyncio.gather(*(worker.end(signal.SIGTERM) for worker in joining))
        if {FAIL_STOP, TERMINATED, -signal.SIGTERM} & set(
            codes
        ):  # it had stopped by itself, or was just being started again
            raise Missed(f"ended with {codes} first")
        if any(codes):
            raise NotSeen(f"{observed}, but ended with {codes}")
        return f"{observed}, exit 0"

    async def _stop(self, fault: Fault) -> str:
        worker = self._crew[fault.target]
        if not (before := {member.member_id for member in worker.members}):
            raise Missed(f"{worker.name} is no member")

        def lost() -> bool:
            return self._watch.broker_up and not before & {member.member_id for member in worker.members}

        worker.send(signal.SIGSTOP)
        try:
            await seen(lost, f"the group lost {fault.target}", SEEN_WITHIN_S)
            left = ", ".join(self._watch.members) or "nobody"
            await asyncio.sleep(fault.hold_s)
            if not worker.running:
                raise Missed(f"{worker.name} ended first")
        finally:
            worker.send(signal.SIGCONT)
        return f"the group lost it; {left} left"

    async def _bounce(self, fault: Fault) -> str:
        assert isinstance(self._kafka, Kafka)
        loop = asyncio.get_running_loop()
        with self._watch.excused(UNREACHABLE):  # whoever talks to it knows before the watch has looked
            await loop.run_in_executor(self._means.jvm, self._kafka.kill)
            down = time.monotonic()
            try:
                host, port = self._kafka.address.rsplit(":", 1)
                with contextlib.suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    raise NotSeen("somebody still listens on its port")
                await asyncio.sleep(fault.hold_s)
            finally:
                await loop.run_in_executor(self._means.jvm, self._kafka.start)
        return f"refused connections, up again after {time.monotonic() - down:.1f} s"

    async def _quota(self, fault: Fault) -> str:
        await seen(lambda: bool(self._watch.members), "the group has members", SEEN_WITHIN_S)
        client_id = next(iter(self._watch.members.values())).client_id
        await asyncio.to_thread(self._kafka.throttle, None, fault.limit)
        try:
            async with asyncio.timeout(SEEN_WITHIN_S):
                while not await self._held_back_s(client_id):
                    await asyncio.sleep(POLL_S)
            await asyncio.sleep(fault.hold_s)
            held_back_s = await self._held_back_s(client_id)
        except TimeoutError:
            raise NotSeen(f"{client_id} was never throttled at {fault.limit} B/s") from None
        finally:
            await asyncio.to_thread(self._kafka.throttle, None, None)
        await asyncio.sleep(held_back_s)  # the broker keeps to it after the quota is gone
        return f"{client_id} was held back {held_back_s:.1f} s at {fault.limit} B/s"

    async def _held_back_s(self, client_id: str) -> float:
        return await throttle_ms(self._kafka.address, client_id, self._topics["probe"]) / 1000

    async def _refuse(self, fault: Fault) -> str:
        topic, before = self._topics[fault.target], time.monotonic()
        await asyncio.to_thread(self._kafka.alter_topic, topic, {SIZE: TOO_SMALL})
        try:
            await seen(lambda: self._stopped_since(before) != "", "a worker ended with 70", REFUSED_WITHIN_S)
            await asyncio.sleep(fault.hold_s)
        finally:
            await asyncio.to_thread(self._kafka.alter_topic, topic, {SIZE: AMPLE})
        return f"exit 70 of {self._stopped_since(before)}"

    async def _proxy(self, fault: Fault) -> str:
        proxy, how = self._means.proxy, fault.target
        assert proxy is not None
        with self._watch.excused(UNREACHABLE):
            proxy.cut(how, fault.limit)
            try:
                ways = HELD.get(how, {how})
                await seen(lambda: all(proxy.seen[way] for way in ways), f"{how} touched something", SEEN_WITHIN_S)
                await asyncio.sleep(fault.hold_s)
            finally:
                proxy.heal()
        match how:
            case "reset":
                return f"{proxy.seen[how]} connections reset"
            case "delay":
                return f"{proxy.seen[how]} chunks came {fault.limit} ms late"
            case _:
                return f"held {', '.join(f'{proxy.seen[way]} bytes of {way}' for way in sorted(ways))}"

    async def _disk(self, fault: Fault) -> str:
        disk, before = self._means.disk, time.monotonic()
        assert disk is not None

        def standing_still() -> bool:
            return time.monotonic() - max(before, self._watch.moved_at_s) > STILL_S

        with self._watch.excused(UNREACHABLE, REFUSED):
            try:
                # What others give up meanwhile is taken away as well.
                async with asyncio.timeout(SEEN_WITHIN_S):
                    while True:
                        used = await asyncio.to_thread(disk.fill)
                        if disk.full and (standing_still() or self._stopped_since(before)):
                            break
                        await asyncio.sleep(POLL_S)
                await asyncio.sleep(fault.hold_s)
            except TimeoutError:
                raise NotSeen("the workers went on without a disk") from None
            finally:
                await asyncio.to_thread(disk.empty)
        stopped = self._stopped_since(before)
        return f"full with {used} bytes, {f'exit 70 of {stopped}' if stopped else 'nobody went on'}"

    async def _clock(self, fault: Fault) -> str:
        clock, worker = self._means.clocks[fault.target], self._crew[fault.target]

        def shown(shift_s: int) -> bool:
            said = clock.shift_s
            return said is not None and abs(said - shift_s) < CLOCK_WITHIN_S

        clock.jump(fault.limit)
        try:
            what = f"{worker.name} reads a clock {fault.limit:+d} s off"
            await seen(lambda: shown(fault.limit) or not worker.running, what, SEEN_WITHIN_S)
            await asyncio.sleep(fault.hold_s)
            if not worker.running:
                raise Missed(f"{worker.name} ended first")
            observed = f"it read {clock.shift_s:+.1f} s" if clock.shift_s is not None else "it said nothing"
        finally:
            clock.jump(0)
        return f"{observed} for {fault.hold_s} s"

    async def _slow_db(self, fault: Fault) -> str:
        database = self._means.database
        assert database is not None
        await asyncio.to_thread(database.hold)
        try:
            held = time.monotonic()
            async with asyncio.timeout(SEEN_WITHIN_S):
                while not await asyncio.to_thread(self._means.backlog):
                    await asyncio.sleep(POLL_S)
            await asyncio.sleep(fault.hold_s)
            behind = await asyncio.to_thread(self._means.backlog)
        except TimeoutError:
            raise NotSeen("nothing waited for the database") from None
        finally:
            await asyncio.to_thread(database.release)
        return f"locked {time.monotonic() - held:.1f} s, {behind} records waited"

    async def _end(self, worker: Worker, number: signal.Signals) -> str:
        """End a worker by a signal. Raises NotSeen where it ends in another way, Missed where by itself."""
        expected = 0 if number == signal.SIGTERM else -number
        partitions = worker.partitions
        code = await worker.end(number)
        if code in {FAIL_STOP, TERMINATED}:
            raise Missed(f"{worker.name} ended with {code} first")
        if code != expected:
            raise NotSeen(f"ended with {code}, not {expected}")
        return f"exit {code}, had {partitions}"

    def _stopped_since(self, moment_s: float) -> str:
        """Who has ended with 70 by itself since then."""
        return " ".join(
            worker.name
            for worker in self._crew.values()
            if any(end.code == FAIL_STOP and not end.asked and end.at_s >= moment_s for end in worker.exits)
        )
