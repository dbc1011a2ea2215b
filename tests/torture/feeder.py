"""Feeder: produce the plan's records as the plan's clock goes, and keep what the broker acknowledged.

    Plan.records + PlanClock -> input topics, acknowledged entries by role

It outlives the broker: a record that fails is sent again, so the log may hold one twice or late. The log is the truth;
what was acknowledged must be in it.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, cycle

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from torture.clock import PlanClock
from torture.findings import Entry
from torture.plan import Plan, Record
from torture.seen import seen

TICK_S = 0.05
IN_FLIGHT = 500
GIVE_UP_S = 300


class Feeder:
    """One producer and its history. ``topics`` has the full names of the inputs."""

    def __init__(self, address: str, topics: Mapping[str, str]) -> None:
        self._address = address
        self._topics = topics
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self.ahead_ms: dict[str, int] = {}
        """How far the producer's clock is ahead, by the role of an input."""
        self._open: dict[str, asyncio.Event] = {}
        self._sending: Counter[str] = Counter()
        self.acknowledged: defaultdict[str, list[Entry]] = defaultdict(list)
        self.fed_at_s = time.time()
        """When, on the wall clock, a record was acknowledged last."""
        self.fed = 0
        self.retries = 0

    async def feed(self, plan: Plan, clock: PlanClock, over: asyncio.Event) -> None:
        """Produce the records evenly over the plan's span, and some of them again until the faults are ``over``.

        A fault strikes who is at work: where the faults take longer than planned, repeats keep the workers busy.
        Raises TimeoutError where the broker stays away.
        """
        every_s = plan.span_s / len(plan.records)
        async with self._producer() as producer, asyncio.TaskGroup() as sending:
            for number, record in enumerate(chain(plan.records, cycle(plan.records))):
                if number >= len(plan.records) and over.is_set():
                    return
                if (at_s := every_s * number) > clock.now_s:
                    await clock.reach(at_s + TICK_S)
                await self._room.acquire()
                sending.create_task(self._send(producer, record))
                self.fed += 1

    async def feed_at_once(self, records: Sequence[Record]) -> None:
        """Produce records as fast as they go, in their order."""
        async with self._producer() as producer:
            for record in records:
                await self._room.acquire()
                await self._send(producer, record)
                self.fed += 1

    @asynccontextmanager
    async def held(self, role: str) -> AsyncIterator[None]:
        """Meanwhile nothing is sent to an input; what is on its way there has arrived. Raises NotSeen."""
        self._open[role] = asyncio.Event()
        try:
            await seen(lambda: not self._sending[role], f"everything sent to {role} has arrived", GIVE_UP_S)
            yield
        finally:
            self._open.pop(role).set()

    async def send_again(self, role: str, entries: Iterable[Entry]) -> None:
        """Send everything that an input had, which was made anew: what was acknowledged before is gone."""
        again = []
        async with self._producer() as producer:
            for partition, _, key, value in entries:
                again.append(await producer.send(self._topics[role], value, key=key, partition=partition))
            sent = await asyncio.gather(*again)
        offsets = [one.offset for one in sent]
        self.acknowledged[role] = []
        self.note(role, [entry._replace(offset=offset) for entry, offset in zip(entries, offsets, strict=True)])

    def note(self, role: str, entries: Iterable[Entry]) -> None:
        """That these were acknowledged, whoever sent them."""
        self.acknowledged[role] += entries
        self.fed_at_s = time.time()

    def _stamp_ms(self, role: str) -> int | None:
        """The time to give a record, where a clock is wrong."""
        return round(time.time() * 1000) + self.ahead_ms[role] if role in self.ahead_ms else None

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=self._address, client_id="torture-feeder", acks="all", linger_ms=5)

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> None:
        role, partition, key, value = record
        while (held := self._open.get(role)) is not None:
            await held.wait()
        self._sending[role] += 1
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    try:
                        sent = await producer.send_and_wait(
                            self._topics[role], value, key=key, partition=partition, timestamp_ms=self._stamp_ms(role)
                        )
                    except KafkaError:
                        self.retries += 1
                        await asyncio.sleep(TICK_S)
                    else:
                        self.note(role, [Entry(partition, sent.offset, key, value)])
                        return
        finally:
            self._sending[role] -= 1
            self._room.release()
