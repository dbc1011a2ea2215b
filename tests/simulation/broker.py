"""The broker: the real log behind a network that delays requests, loses acknowledgements, duplicates writes or fails.

    send -> request travels -> append to the log -> acknowledgement travels      any step may be slow or lost

A request in flight is appended even if its sender has died. A group assigns partitions to its members in generations
and refuses the commit of a member of an earlier generation.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from faust.exceptions import ProducerSendError
from faust.types import TP

from simulation.loop import VirtualLoop
from traderecon.transport.log import Log
from traderecon.transport.log.batches import Entry

if TYPE_CHECKING:
    from simulation.worker import Role

SESSION_S = 3.0
"""Session timeout: a member silent for longer is removed from its group."""


CLOCK_STEP_S = 3_600
"""How far ahead a wrong clock is."""


class NoAnswer(Exception):
    """The broker did not answer in time; the caller retries."""


class AckLost(NoAnswer):
    """The acknowledgement was lost: the write may or may not have been appended."""


class Conditions(NamedTuple):
    """The network of a schedule: latencies in seconds; shares of all writes between 0 and 1.

    ``split``: the share of appends sent as two requests.
    """

    latency_s: tuple[float, float] = (0.001, 0.01)
    slow: float = 0.0
    slow_s: tuple[float, float] = (0.2, 4.0)
    ack_lost: float = 0.0
    arrives_late: float = 0.0
    max_fetch: int = 50
    split: float = 0.0


class Broker:
    """The one log that all workers share."""

    def __init__(self, log: Log, loop: VirtualLoop, conditions: Conditions, chance: Random) -> None:
        self.log, self.conditions, self.chance = log, conditions, chance
        self._loop = loop
        self._down_until_s = self._ahead_until_s = 0.0
        self._waiting: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._in_flight: set[asyncio.Task[Any]] = set()
        self.end_offsets: Counter[tuple[str, int]] = Counter()
        """The next offset of every partition that has a record."""
        self.leader_epochs: Counter[tuple[str, int]] = Counter()
        """How often the leader of each partition has changed; a log is cut only with a change of leader."""
        self.writes_to_refuse = 0
        """How many of the next writes to refuse."""
        self.repeated = 0
        self.refused = 0

    def now_ms(self) -> int:
        """The broker's clock."""
        ahead_s = CLOCK_STEP_S if self._loop.time() < self._ahead_until_s else 0
        return int((self._loop.epoch_s + ahead_s + self._loop.time()) * 1000)

    def set_clock_ahead(self, for_s: float) -> None:
        """Set the broker's clock an hour ahead for ``for_s``."""
        self._ahead_until_s = max(self._ahead_until_s, self._loop.time() + for_s)

    def outage(self, for_s: float) -> None:
        """Append nothing and answer nothing for ``for_s``."""
        self._down_until_s = max(self._down_until_s, self._loop.time() + for_s)

    async def travel(self) -> None:
        """Wait for the latency of one message, and for the end of an outage."""
        low, high = self.conditions.latency_s
        if self.conditions.slow and self.chance.random() < self.conditions.slow:
            low, high = self.conditions.slow_s
        await asyncio.sleep(self.chance.uniform(low, high))
        while (left_s := self._down_until_s - self._loop.time()) > 0:
            await asyncio.sleep(left_s + self.chance.uniform(0, 0.1))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """A task that belongs to no worker."""
        task = self._loop.create_task(work, context=Context())
        self._in_flight.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: the caller may be dead

    def close(self) -> None:
        """Cancel every request in flight."""
        for task in self._in_flight:
            task.cancel()

    def send(self, topic: str, partition: int, entries: Sequence[Entry]) -> "asyncio.Task[tuple[int, int]]":
        """Append; returns the first offset and the append time. ProducerSendError: refused. AckLost: unknown."""
        return self.spawn(self._send(topic, partition, entries))

    async def _send(self, topic: str, partition: int, entries: Sequence[Entry]) -> tuple[int, int]:
        await self.travel()
        if self.writes_to_refuse:
            self.writes_to_refuse -= 1
            self.refused += 1
            raise ProducerSendError(f"{topic}[{partition}] refused {len(entries)} records")
        unheard = self.chance.random() < self.conditions.ack_lost
        if unheard and self.chance.random() < self.conditions.arrives_late:
            self.spawn(self._deliver_late(topic, partition, entries))
            raise AckLost
        appended_ms = self.now_ms()
        base = self.write(topic, partition, entries)
        if unheard:
            self.repeated += 1
            await self.travel()
            raise AckLost
        await self.travel()
        return base, appended_ms

    async def _deliver_late(self, topic: str, partition: int, entries: Sequence[Entry]) -> None:
        """Append a request whose sender has already given up on it."""
        self.repeated += 1
        await asyncio.sleep(self.chance.uniform(0, 4.0))
        await self.travel()
        self.write(topic, partition, entries)

    def write(self, topic: str, partition: int, entries: Sequence[Entry]) -> int:
        """Append without latency; a record without a timestamp gets the broker's time."""
        now_ms = self.now_ms()
        timestamped = [(key, value, time_ms or now_ms, headers) for key, value, time_ms, headers in entries]
        [base] = self.log.append([(topic, partition, timestamped)])
        self.end_offsets[topic, partition] = base + len(timestamped)
        waiters, self._waiting[topic] = self._waiting[topic], []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return base

    async def wait_for_append(self, topics: Iterable[str], timeout_s: float) -> None:
        """Return when a record is appended to one of the topics, or after ``timeout_s``."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        for topic in topics:
            self._waiting[topic].append(waiter)
        handle = self._loop.call_later(timeout_s, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            await waiter
        finally:
            handle.cancel()


class Group:
    """The consumer group of one role, and its assignments."""

    def __init__(self, name: str, topics: Mapping[str, int], broker: Broker) -> None:
        self.name, self._broker = name, broker
        self._tps = [TP(topic, number) for topic, count in topics.items() for number in range(count)]
        self.generation = 0
        self.members: list[Role] = []
        self._changed = asyncio.Event()
        broker.spawn(self._run())

    def join(self, role: "Role") -> None:
        """Add a consumer, and rebalance."""
        if role not in self.members:
            self.members.append(role)
        self._changed.set()

    def leave(self, role: "Role") -> None:
        """Remove a consumer that left or timed out, and rebalance."""
        if role in self.members:
            self.members.remove(role)
            self._changed.set()

    def rebalance(self) -> None:
        """Start a rebalance that nothing requires."""
        self._changed.set()

    def commit(self, role: "Role", generation: int, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Store a member's offsets; NoAnswer: not a member, or of an earlier generation."""
        if role not in self.members or generation != self.generation:
            raise NoAnswer(f"{self.name}: no member of generation {self.generation}")
        by_partition = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        self._broker.log.commit(self.name, by_partition, {(tp.topic, tp.partition): note for tp, note in notes.items()})

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(self._broker.chance.uniform(0, 0.1))
            self.members = [role for role in self.members if not role.worker.dead]
            revocations = {role: role.worker.spawn(role.revoke()) for role in self.members}
            if revocations:
                await asyncio.wait(revocations.values(), timeout=SESSION_S)
            for role, task in revocations.items():
                if role.worker.dead or not task.done():
                    self.leave(role)  # it rejoins when it notices
            self.generation += 1
            assignments: dict[Role, set[TP]] = {role: set() for role in self.members}
            for tp in self._tps:
                if assignments:
                    assignments[self._broker.chance.choice([*assignments])].add(tp)
            for role, assigned in assignments.items():
                role.assign(assigned, self.generation)
