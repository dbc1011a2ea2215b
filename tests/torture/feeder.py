"""Feeder: produce the plan's records as the plan's clock goes, and keep what the broker acknowledged.

    Plan.records + PlanClock -> input topics, acknowledged entries by role

It outlives the broker: a record that fails is sent again, so the log may hold one twice or late. The log is the truth;
what was acknowledged must be in it.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from torture.clock import PlanClock
from torture.findings import Entry
from torture.plan import Plan, Record

TICK_S = 0.05
IN_FLIGHT = 500
GIVE_UP_S = 300


class Feeder:
    """One producer and its history. ``topics`` has the full names of the inputs."""

    def __init__(self, address: str, topics: Mapping[str, str]) -> None:
        self._address = address
        self._topics = topics
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self.acknowledged: defaultdict[str, list[Entry]] = defaultdict(list)
        self.fed_at_s = time.time()
        """When, on the wall clock, a record was acknowledged last."""
        self.retries = 0

    async def feed(self, plan: Plan, clock: PlanClock) -> None:
        """Produce the records evenly over the plan's span. Raises TimeoutError where the broker stays away."""
        span = [(plan.span_s * number / len(plan.records), record) for number, record in enumerate(plan.records)]
        async with self._producer() as producer, asyncio.TaskGroup() as sending:
            for at_s, record in span:
                if at_s > clock.now_s:
                    await clock.reach(at_s + TICK_S)
                await self._room.acquire()
                sending.create_task(self._send(producer, record))

    async def feed_at_once(self, records: Sequence[Record]) -> None:
        """Produce records as fast as they go, in their order."""
        async with self._producer() as producer:
            for record in records:
                await self._room.acquire()
                await self._send(producer, record)

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=self._address, client_id="torture-feeder", acks="all", linger_ms=5)

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> None:
        role, partition, key, value = record
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    try:
                        sent = await producer.send_and_wait(self._topics[role], value, key=key, partition=partition)
                    except KafkaError:
                        self.retries += 1
                        await asyncio.sleep(TICK_S)
                    else:
                        self.acknowledged[role].append(Entry(partition, sent.offset, key, value))
                        self.fed_at_s = time.time()
                        return
        finally:
            self._room.release()
