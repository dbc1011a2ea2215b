"""Broker faults: of three nodes one dies, or two at once, or one comes back with an empty disk.

    Fault -> BrokerDeeds: nodes killed, a worker restarted meanwhile, nodes started -> what was observed

A fault is over when every copy of every topic is in sync again: the next one may then strike any node.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from broker.kafka_cluster import Cluster
from broker.kafka_server import Kafka
from broker.kafka_wire import BrokerError

from torture.group import UNREACHABLE, Watch
from torture.plan import COORDINATOR, Fault
from torture.seen import POLL_S, NotSeen, seen
from torture.workers import Worker

CHANGED_WITHIN_S = 60
WHOLE_WITHIN_S = 300
BORN_WITHIN_S = 60
TRIES = 3


class BrokerDeeds:
    """The kinds of faults that hit nodes of a cluster. ``jvm``: the one thread that starts nodes."""

    def __init__(
        self,
        cluster: Cluster,
        watch: Watch,
        crew: Mapping[str, Worker],
        topics: Mapping[str, str],
        jvm: ThreadPoolExecutor,
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._crew = crew
        self._topics = topics
        self._jvm = jvm
        self.kinds: dict[str, Callable[[Fault], Awaitable[str]]] = {
            "leader": self._leader,
            "controller": self._controller,
            "two": self._two,
            "replace": self._replace,
        }

    async def _leader(self, fault: Fault) -> str:
        if fault.target == COORDINATOR:
            return await self._succeeded(fault, f"coordinated {self._watch.group}", self._coordinator)
        topic = self._topics[fault.target]
        partition = fault.limit % await asyncio.to_thread(self._cluster.partitions, topic)
        return await self._succeeded(fault, f"led {topic} {partition}", lambda: self._leading(topic, partition))

    async def _controller(self, fault: Fault) -> str:
        return await self._succeeded(fault, "was the active controller", self._cluster.active_controller)

    async def _two(self, fault: Fault) -> str:
        with self._watch.excused(UNREACHABLE):  # one node alone takes no write, and knows no coordinator
            return await self._without(fault, [int(number) for number in fault.target.split("+")])

    async def _replace(self, fault: Fault) -> str:
        return await self._without(fault, [int(fault.target)], empty_disk=True)

    async def _succeeded(self, fault: Fault, office: str, who: Callable[[], int]) -> str:
        """Kill the node that has an office, and see that another one gets it."""
        before = await asyncio.to_thread(who)
        began = time.monotonic()

        async def successor() -> str:
            async with asyncio.timeout(CHANGED_WITHIN_S):
                while True:
                    with contextlib.suppress(OSError, BrokerError):
                        if (now := await asyncio.to_thread(who)) != before:
                            return f"node {before} {office}, node {now} after {time.monotonic() - began:.1f} s"
                    await asyncio.sleep(POLL_S)

        return await self._without(fault, [before], successor)

    async def _without(
        self,
        fault: Fault,
        numbers: Sequence[int],
        change: Callable[[], Awaitable[str]] | None = None,
        *,
        empty_disk: bool = False,
    ) -> str:
        """Hold nodes down, and have a worker restarted meanwhile; until everything is in sync again."""
        loop, nodes = asyncio.get_running_loop(), [self._cluster.nodes[number] for number in numbers]
        await loop.run_in_executor(self._jvm, _kill, nodes)
        down = time.monotonic()
        try:
            for node in nodes:
                await _refuses(node)
            observed = await change() if change else f"nodes {fault.target} refused connections"
            await asyncio.sleep(fault.restart_s)
            observed += f"; {await self._restarted(self._crew[fault.worker], fault.hold_s - fault.restart_s)}"
            if empty_disk:
                for node in nodes:
                    await asyncio.to_thread(node.lose_disk)
                observed += "; its disk was removed"
        except TimeoutError:
            raise NotSeen(f"nobody took over from node {fault.target}") from None
        finally:
            await loop.run_in_executor(self._jvm, self._start)
        up = time.monotonic()
        await self._in_sync_again()
        return f"{observed}; up after {up - down:.1f} s, in sync after {time.monotonic() - down:.1f} s"

    async def _restarted(self, worker: Worker, hold_s: float) -> str:
        """Kill a worker and start it again, and wait for so long; whether it was at work by then."""
        code = 0
        for _ in range(TRIES):
            await seen(lambda: worker.running, f"{worker.name} runs", BORN_WITHIN_S)
            try:
                code = await worker.end(signal.SIGKILL)
            finally:
                worker.go()
            if code == -signal.SIGKILL:
                break
        else:
            raise NotSeen(f"{worker.name} ended with {code} {TRIES} times before it could be killed")
        began = time.monotonic()
        while not worker.consuming and time.monotonic() - began < hold_s:
            await asyncio.sleep(POLL_S)
        took_s = time.monotonic() - began
        await asyncio.sleep(max(0.0, hold_s - took_s))
        at_work = f"at work after {took_s:.1f} s" if worker.consuming else f"not at work {took_s:.1f} s later"
        return f"{worker.name} killed, started, {at_work}"

    async def _in_sync_again(self) -> None:
        until = time.monotonic() + WHOLE_WITHIN_S
        while not await asyncio.to_thread(self._cluster.whole):
            if time.monotonic() > until:
                raise NotSeen(f"not within {WHOLE_WITHIN_S} s: every copy is in sync again")
            await asyncio.sleep(POLL_S)

    def _start(self) -> None:
        try:
            self._cluster.start()
        except AssertionError as why:  # it ended by itself, or did not come in time
            raise NotSeen(str(why)) from why

    def _coordinator(self) -> int:
        return self._number(self._cluster.coordinator(self._watch.group))

    def _leading(self, topic: str, partition: int) -> int:
        return self._number(self._cluster.leader(topic, partition))

    def _number(self, node: Kafka) -> int:
        return next(number for number, other in self._cluster.nodes.items() if other is node)


def _kill(nodes: Sequence[Kafka]) -> None:
    for node in nodes:
        node.kill()


async def _refuses(node: Kafka) -> None:
    host, port = node.address.rsplit(":", 1)
    with contextlib.suppress(ConnectionRefusedError):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        raise NotSeen(f"somebody still listens at {node.address}")
