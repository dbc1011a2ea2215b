"""The broker: the real log, behind a network that is slow, forgets answers, repeats what was said, or is away.

    send -> travels -> lands in the log -> the answer travels      any of it may take long, or be lost

What is on its way lands, whatever has become of who sent it. A group gives partitions to its members in rounds, and
takes no commit of a member of an earlier round.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from faust.exceptions import ProducerSendError
from faust.types import TP

from simulation.loop import EPOCH_S, VirtualLoop
from traderecon.transport.log import Log
from traderecon.transport.log.batches import Entry

if TYPE_CHECKING:
    from simulation.worker import Role

SESSION_S = 3.0
"""A member that has not answered for so long is no member any more."""


CLOCK_STEP_S = 3_600
"""How far the clock is ahead when it has been set wrong."""


class NoAnswer(Exception):
    """The broker has not answered, or not in time: to be tried again."""


class Unheard(NoAnswer):
    """What was sent may have landed, or not."""


class Conditions(NamedTuple):
    """The weather of a schedule: latencies in seconds, shares of all writes between 0 and 1."""

    latency_s: tuple[float, float] = (0.001, 0.01)
    slow: float = 0.0
    slow_s: tuple[float, float] = (0.2, 4.0)
    unheard: float = 0.0
    landed_late: float = 0.0
    most_fetched: int = 50
    cut: float = 0.0


class Broker:
    """One log for everybody."""

    def __init__(self, log: Log, loop: VirtualLoop, conditions: Conditions, chance: Random) -> None:
        self.log, self.conditions, self.chance = log, conditions, chance
        self._loop = loop
        self._away_until_s = self._ahead_until_s = 0.0
        self._waiting: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._under_way: set[asyncio.Task[Any]] = set()
        self.ends: Counter[tuple[str, int]] = Counter()
        """The next offset of every partition that has a record."""
        self.leaders: Counter[tuple[str, int]] = Counter()
        """How often every partition has had another leader: without one nothing is cut."""
        self.refusals = 0
        """So many of the next writes are refused."""
        self.repeated = 0
        self.refused = 0

    def now_ms(self) -> int:
        """What its clock says."""
        ahead_s = CLOCK_STEP_S if self._loop.time() < self._ahead_until_s else 0
        return int((EPOCH_S + ahead_s + self._loop.time()) * 1000)

    def set_clock_ahead(self, for_s: float) -> None:
        """Set its clock an hour ahead, for a while."""
        self._ahead_until_s = max(self._ahead_until_s, self._loop.time() + for_s)

    def away(self, for_s: float) -> None:
        """Nothing lands and nothing is answered for a while."""
        self._away_until_s = max(self._away_until_s, self._loop.time() + for_s)

    async def travel(self) -> None:
        """What a message takes."""
        low, high = self.conditions.latency_s
        if self.conditions.slow and self.chance.random() < self.conditions.slow:
            low, high = self.conditions.slow_s
        await asyncio.sleep(self.chance.uniform(low, high))
        while (left_s := self._away_until_s - self._loop.time()) > 0:
            await asyncio.sleep(left_s + self.chance.uniform(0, 0.1))

    def apart(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """A task that belongs to no worker."""
        task = self._loop.create_task(work, context=Context())
        self._under_way.add(task)
        task.add_done_callback(self._landed)
        return task

    def _landed(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # who was to hear it may be gone

    def close(self) -> None:
        """Nothing is on its way any more."""
        for task in self._under_way:
            task.cancel()

    def send(self, topic: str, partition: int, entries: Sequence[Entry]) -> "asyncio.Task[tuple[int, int]]":
        """Write; gives the first offset and the time it landed. ProducerSendError: refused. Unheard: who knows."""
        return self.apart(self._send(topic, partition, entries))

    async def _send(self, topic: str, partition: int, entries: Sequence[Entry]) -> tuple[int, int]:
        await self.travel()
        if self.refusals:
            self.refusals -= 1
            self.refused += 1
            raise ProducerSendError(f"{topic}[{partition}] refused {len(entries)} records")
        unheard = self.chance.random() < self.conditions.unheard
        if unheard and self.chance.random() < self.conditions.landed_late:
            self.apart(self._late(topic, partition, entries))
            raise Unheard
        at_ms = self.now_ms()
        base = self.write(topic, partition, entries)
        if unheard:
            self.repeated += 1
            await self.travel()
            raise Unheard
        await self.travel()
        return base, at_ms

    async def _late(self, topic: str, partition: int, entries: Sequence[Entry]) -> None:
        """A request that everybody has forgotten."""
        self.repeated += 1
        await asyncio.sleep(self.chance.uniform(0, 4.0))
        await self.travel()
        self.write(topic, partition, entries)

    def write(self, topic: str, partition: int, entries: Sequence[Entry]) -> int:
        """Append at once; a record without a time gets the log's."""
        now_ms = self.now_ms()
        timed = [(key, value, at_ms or now_ms, headers) for key, value, at_ms, headers in entries]
        [base] = self.log.append([(topic, partition, timed)])
        self.ends[topic, partition] = base + len(timed)
        waiting, self._waiting[topic] = self._waiting[topic], []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        return base

    async def grows(self, topics: Iterable[str], within_s: float) -> None:
        """Return when something is written to one of the topics, or after a while."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        for topic in topics:
            self._waiting[topic].append(waiter)
        handle = self._loop.call_later(within_s, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            await waiter
        finally:
            handle.cancel()


class Group:
    """The consumers of one role, and who has what."""

    def __init__(self, name: str, topics: Mapping[str, int], broker: Broker) -> None:
        self.name, self._broker = name, broker
        self._tps = [TP(topic, number) for topic, count in topics.items() for number in range(count)]
        self.generation = 0
        self.members: list[Role] = []
        self._changed = asyncio.Event()
        broker.apart(self._run())

    def join(self, role: "Role") -> None:
        """A consumer asks for its share."""
        if role not in self.members:
            self.members.append(role)
        self._changed.set()

    def leave(self, role: "Role") -> None:
        """A consumer has gone, or is thought to have."""
        if role in self.members:
            self.members.remove(role)
            self._changed.set()

    def shake(self) -> None:
        """Everything is given anew, for no reason."""
        self._changed.set()

    def commit(self, role: "Role", generation: int, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Keep a member's offsets; NoAnswer: it is none, or it said so in an earlier round."""
        if role not in self.members or generation != self.generation:
            raise NoAnswer(f"{self.name}: no member of generation {self.generation}")
        named = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        self._broker.log.commit(self.name, named, {(tp.topic, tp.partition): note for tp, note in notes.items()})

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(self._broker.chance.uniform(0, 0.1))
            self.members = [role for role in self.members if not role.worker.dead]
            asked = {role: role.worker.spawn(role.give_up()) for role in self.members}
            if asked:
                await asyncio.wait(asked.values(), timeout=SESSION_S)
            for role, task in asked.items():
                if role.worker.dead or not task.done():
                    self.leave(role)  # it joins again when it notices
            self.generation += 1
            shares: dict[Role, set[TP]] = {role: set() for role in self.members}
            for tp in self._tps:
                if shares:
                    shares[self._broker.chance.choice([*shares])].add(tp)
            for role, share in shares.items():
                role.take(share, self.generation)
