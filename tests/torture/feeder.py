"""Feeder: produce the plan's records by the plan's clock, and remember what the broker acknowledged.

    Plan.records + PlanClock -> input topics, acknowledged entries by role

It retries through broker outages, so the log may hold a record twice or late. The log is the truth; every acknowledged
record must be in it.
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
from torture.waiting import wait_until

TICK_S = 0.05
IN_FLIGHT = 500
GIVE_UP_S = 300


class Feeder:
    """The producer of the inputs, and what it was acknowledged. ``topics``: full names by role."""

    def __init__(self, address: str, topics: Mapping[str, str]) -> None:
        self._address = address
        self._topics = topics
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.clock_ahead_ms: dict[str, int] = {}
        """How far the producer's clock is ahead, by input role."""
        self._held_roles: dict[str, asyncio.Event] = {}
        self._in_flight: Counter[str] = Counter()
        self.acknowledged: defaultdict[str, list[Entry]] = defaultdict(list)
        self.last_ack_s = time.time()
        """When a record was last acknowledged, in seconds since 1970."""
        self.fed = 0
        self.retries = 0

    async def feed(self, plan: Plan, clock: PlanClock, faults_done: asyncio.Event) -> None:
        """Produce the records evenly over the plan's span, then repeat them until ``faults_done`` is set.

        A fault needs a worker that is consuming: repeats keep the workers busy if the faults take longer than planned.
        Raises TimeoutError if the broker stays down.
        """
        every_s = plan.span_s / len(plan.records)
        async with self._producer() as producer, asyncio.TaskGroup() as sends:
            for number, record in enumerate(chain(plan.records, cycle(plan.records))):
                if number >= len(plan.records) and faults_done.is_set():
                    return
                if (due_s := every_s * number) > clock.now_s:
                    await clock.reach(due_s + TICK_S)
                await self._slots.acquire()
                sends.create_task(self._send(producer, record))
                self.fed += 1

    async def feed_at_full_speed(self, records: Sequence[Record]) -> None:
        """Produce records in order, without pauses."""
        async with self._producer() as producer:
            for record in records:
                await self._slots.acquire()
                await self._send(producer, record)
                self.fed += 1

    @asynccontextmanager
    async def hold(self, role: str) -> AsyncIterator[None]:
        """Send nothing to an input while this lasts; waits until nothing is in flight to it. Raises NotObserved."""
        self._held_roles[role] = asyncio.Event()
        try:
            await wait_until(lambda: not self._in_flight[role], f"everything sent to {role} has arrived", GIVE_UP_S)
            yield
        finally:
            self._held_roles.pop(role).set()

    async def resend(self, role: str, entries: Iterable[Entry]) -> None:
        """Send all records of a recreated input again, and forget the earlier acknowledgements."""
        sends = []
        async with self._producer() as producer:
            for partition, _, key, value in entries:
                sends.append(await producer.send(self._topics[role], value, key=key, partition=partition))
            metadata = await asyncio.gather(*sends)
        offsets = [sent.offset for sent in metadata]
        self.acknowledged[role] = []
        self.record_acknowledged(
            role, [entry._replace(offset=offset) for entry, offset in zip(entries, offsets, strict=True)]
        )

    def record_acknowledged(self, role: str, entries: Iterable[Entry]) -> None:
        """Record that these were acknowledged, to this producer or another."""
        self.acknowledged[role] += entries
        self.last_ack_s = time.time()

    def _stamp_ms(self, role: str) -> int | None:
        """The timestamp of a record, if the producer's clock is wrong."""
        return round(time.time() * 1000) + self.clock_ahead_ms[role] if role in self.clock_ahead_ms else None

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=self._address, client_id="torture-feeder", acks="all", linger_ms=5)

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> None:
        role, partition, key, value = record
        while (hold := self._held_roles.get(role)) is not None:
            await hold.wait()
        self._in_flight[role] += 1
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    try:
                        metadata = await producer.send_and_wait(
                            self._topics[role], value, key=key, partition=partition, timestamp_ms=self._stamp_ms(role)
                        )
                    except KafkaError:
                        self.retries += 1
                        await asyncio.sleep(TICK_S)
                    else:
                        self.record_acknowledged(role, [Entry(partition, metadata.offset, key, value)])
                        return
        finally:
            self._in_flight[role] -= 1
            self._slots.release()
