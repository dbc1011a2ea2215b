"""Broker faults: of three nodes one dies, or two at once, or one comes back with an empty disk.

    Fault -> BrokerFaults: nodes killed, a worker restarted meanwhile, nodes started -> what was observed

A fault is over when every replica is in sync again, so that the next fault may hit any node.
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
from torture.waiting import POLL_S, NotObserved, wait_until
from torture.workers import Worker

SUCCESSOR_WITHIN_S = 60
IN_SYNC_WITHIN_S = 300
WORKER_WITHIN_S = 60
TRIES = 3


class BrokerFaults:
    """The kinds of faults that hit nodes of a cluster. ``jvm``: the one thread that starts nodes."""

    def __init__(
        self,
        cluster: Cluster,
        watch: Watch,
        workers: Mapping[str, Worker],
        topics: Mapping[str, str],
        jvm: ThreadPoolExecutor,
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._workers = workers
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
            return await self._kill_and_await_successor(
                fault, f"coordinated {self._watch.group}", self._coordinator_node
            )
        topic = self._topics[fault.target]
        partition = fault.limit % await asyncio.to_thread(self._cluster.partitions, topic)
        return await self._kill_and_await_successor(
            fault, f"led {topic} {partition}", lambda: self._leader_node(topic, partition)
        )

    async def _controller(self, fault: Fault) -> str:
        return await self._kill_and_await_successor(fault, "was the active controller", self._cluster.active_controller)

    async def _two(self, fault: Fault) -> str:
        with self._watch.allow_exits(UNREACHABLE):  # a single node accepts no writes, and has no coordinator
            return await self._with_nodes_down(fault, [int(number) for number in fault.target.split("+")])

    async def _replace(self, fault: Fault) -> str:
        return await self._with_nodes_down(fault, [int(fault.target)], empty_disk=True)

    async def _kill_and_await_successor(self, fault: Fault, role: str, find_node: Callable[[], int]) -> str:
        """Kill the node that has a role, and wait until another node has it."""
        old_node = await asyncio.to_thread(find_node)
        started_s = time.monotonic()

        async def successor() -> str:
            async with asyncio.timeout(SUCCESSOR_WITHIN_S):
                while True:
                    with contextlib.suppress(OSError, BrokerError):
                        if (new_node := await asyncio.to_thread(find_node)) != old_node:
                            return f"node {old_node} {role}, node {new_node} after {time.monotonic() - started_s:.1f} s"
                    await asyncio.sleep(POLL_S)

        return await self._with_nodes_down(fault, [old_node], successor)

    async def _with_nodes_down(
        self,
        fault: Fault,
        numbers: Sequence[int],
        await_change: Callable[[], Awaitable[str]] | None = None,
        *,
        empty_disk: bool = False,
    ) -> str:
        """Keep nodes down while a worker restarts, then start them and wait until every replica is in sync."""
        loop, nodes = asyncio.get_running_loop(), [self._cluster.nodes[number] for number in numbers]
        await loop.run_in_executor(self._jvm, _kill, nodes)
        down_at_s = time.monotonic()
        try:
            for node in nodes:
                await _refuses(node)
            observed = await await_change() if await_change else f"nodes {fault.target} refused connections"
            await asyncio.sleep(fault.restart_s)
            observed += f"; {await self._restart_worker(self._workers[fault.worker], fault.hold_s - fault.restart_s)}"
            if empty_disk:
                for node in nodes:
                    await asyncio.to_thread(node.lose_disk)
                observed += "; its disk was removed"
        except TimeoutError:
            raise NotObserved(f"no node took over from node {fault.target}") from None
        finally:
            await loop.run_in_executor(self._jvm, self._start_nodes)
        up_at_s = time.monotonic()
        await self._wait_in_sync()
        return f"{observed}; up after {up_at_s - down_at_s:.1f} s, in sync after {time.monotonic() - down_at_s:.1f} s"

    async def _restart_worker(self, worker: Worker, hold_s: float) -> str:
        """Kill and restart a worker, and wait for ``hold_s``; returns whether it was consuming by then."""
        code = 0
        for _ in range(TRIES):
            await wait_until(lambda: worker.running, f"{worker.name} runs", WORKER_WITHIN_S)
            try:
                code = await worker.end(signal.SIGKILL)
            finally:
                worker.go()
            if code == -signal.SIGKILL:
                break
        else:
            raise NotObserved(f"{worker.name} ended with {code} {TRIES} times before it could be killed")
        started_s = time.monotonic()
        while not worker.consuming and time.monotonic() - started_s < hold_s:
            await asyncio.sleep(POLL_S)
        took_s = time.monotonic() - started_s
        await asyncio.sleep(max(0.0, hold_s - took_s))
        state = f"at work after {took_s:.1f} s" if worker.consuming else f"not at work {took_s:.1f} s later"
        return f"{worker.name} killed, started, {state}"

    async def _wait_in_sync(self) -> None:
        deadline_s = time.monotonic() + IN_SYNC_WITHIN_S
        while not await asyncio.to_thread(self._cluster.whole):
            if time.monotonic() > deadline_s:
                raise NotObserved(f"not within {IN_SYNC_WITHIN_S} s: every copy is in sync again")
            await asyncio.sleep(POLL_S)

    def _start_nodes(self) -> None:
        try:
            self._cluster.start()
        except AssertionError as error:  # a node exited, or did not start in time
            raise NotObserved(str(error)) from error

    def _coordinator_node(self) -> int:
        return self._number(self._cluster.coordinator(self._watch.group))

    def _leader_node(self, topic: str, partition: int) -> int:
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
        raise NotObserved(f"somebody still listens at {node.address}")
