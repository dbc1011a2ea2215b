"""Feeder: produce the plan's records as the plan's clock goes, and keep what the broker acknowledged.

    Plan.records + PlanClock -> input topic, acknowledged entries

It outlives the broker: a record that fails is sent again, so the log may hold one twice or late. The log is the truth;
what was acknowledged must be in it.
"""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from torture.clock import PlanClock
from torture.oracle import Entry
from torture.plan import Plan, Record

TICK_S = 0.05
IN_FLIGHT = 500
GIVE_UP_S = 300


class Feeder:
    """One producer and its history."""

    def __init__(self, address: str, topic: str) -> None:
        self._address = address
        self._topic = topic
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self.acknowledged: list[Entry] = []
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

    async def feed_at_once(self, records: tuple[Record, ...]) -> None:
        """Produce records as fast as they go, in their order."""
        async with self._producer() as producer:
            for record in records:
                await self._room.acquire()
                await self._send(producer, record)

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=self._address, client_id="torture-feeder", acks="all", linger_ms=5)

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> None:
        key, value, partition = record.key.encode(), record.uid.encode(), record.partition
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    try:
                        sent = await producer.send_and_wait(self._topic, value, key=key, partition=partition)
                    except KafkaError:
                        self.retries += 1
                        await asyncio.sleep(TICK_S)
                    else:
                        self.acknowledged.append(Entry(partition, sent.offset, key, value))
                        return
        finally:
            self._room.release()
