"""Other producers: they send records of the feed again, compressed in another way, or in a transaction they leave open.

    Fault -> OtherProducers: codec, transaction, step -> what was observed

A repeat is an input record like any other, with an offset of its own, and changes no verdict; one of a transaction that
is aborted is none. With ``step`` it is the feeder's own clock that is wrong.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from broker.kafka_topics import Topics

from torture.feeder import Feeder
from torture.findings import Entry
from torture.plan import Fault
from torture.waiting import POLL_S, Missed, NotObserved, wait_until

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""What a batch's attributes say. Source: Kafka's protocol, Record Batch."""
BATCH = 20
EVERY_S = 0.5
SEEN_WITHIN_S = 60
STAMP, MOST_AHEAD, AMPLE_MS = "message.timestamp.type", "message.timestamp.after.max.ms", str(2**63 - 1)
TIMEOUT_MS = 120_000
"""Kafka would abort the transaction after so long."""


class OtherProducers:
    """Producers beside the feeder. ``topics`` has the full names of the inputs by role."""

    def __init__(self, kafka: Topics, topics: Mapping[str, str], feeder: Feeder) -> None:
        self._kafka, self._topics, self._feeder = kafka, topics, feeder
        self._chance = random.Random(0)

    async def codec(self, fault: Fault) -> str:
        """Send batches in another codec for a while. Raises Missed where nothing is fed yet, NotObserved."""
        codec, role = fault.target.split("+")
        offsets: list[int] = []
        loop = asyncio.get_running_loop()
        until_s = loop.time() + fault.hold_s
        async with self._producer(compression_type=codec, linger_ms=50) as producer:
            while not offsets or loop.time() < until_s:
                repeats = self._repeats(role)
                sent = await self._sent(producer, role, repeats)
                for entry in sent:
                    found = await asyncio.to_thread(self._kafka.codec, self._topics[role], *entry[:2])
                    if found != CODECS[codec]:
                        raise NotObserved(
                            f"the batch at {entry.partition}/{entry.offset} has codec {found}, not {codec}"
                        )
                self._feeder.record_acknowledged(role, sent)
                offsets += [entry.offset for entry in sent]
                await asyncio.sleep(EVERY_S)
        return f"{len(offsets)} repeats in batches of {codec}"

    async def transaction(self, fault: Fault) -> str:
        """Leave a transaction open for a while, then end it as the fault says. Raises Missed or NotObserved."""
        ending, role = fault.target.split("+")
        topic, repeats = self._topics[role], self._repeats(role)
        partition = repeats[0].partition

        def unstable() -> bool:
            return self._kafka.stable_end(topic, partition) < self._kafka.end(topic, partition)

        name = f"torture-{role}"
        async with self._producer(transactional_id=name, transaction_timeout_ms=TIMEOUT_MS) as producer:
            await producer.begin_transaction()
            try:
                sent = await self._sent(producer, role, repeats)
                first = min(entry.offset for entry in sent)
                await wait_until(unstable, f"{topic}[{partition}] is stable up to less than its end", SEEN_WITHIN_S)
                await asyncio.sleep(fault.hold_s)
                behind = self._kafka.end(topic, partition) - self._kafka.stable_end(topic, partition)
            except BaseException:
                await producer.abort_transaction()
                raise
            await (producer.commit_transaction() if ending == "commit" else producer.abort_transaction())
        if ending == "commit":
            self._feeder.record_acknowledged(role, sent)
        if not behind:
            raise NotObserved(f"the transaction at {topic}[{partition}] {first} was over before its time")
        return f"{behind} offsets of {role}[{partition}] unstable from {first}, {len(repeats)} repeats, then {ending}"

    async def step(self, fault: Fault) -> str:
        """Have an input take its producer's time, whose clock is ahead for a while. Raises NotObserved."""
        role, clock_ahead_ms = fault.target, fault.limit * 1000
        topic, before = self._topics[role], len(self._feeder.acknowledged[role])
        await asyncio.to_thread(self._kafka.alter_topic, topic, {STAMP: "CreateTime", MOST_AHEAD: AMPLE_MS})
        try:
            self._feeder.clock_ahead_ms[role] = clock_ahead_ms
            ahead = 0
            async with asyncio.timeout(SEEN_WITHIN_S):
                while ahead < clock_ahead_ms / 2:
                    await asyncio.sleep(POLL_S)
                    if fresh := self._feeder.acknowledged[role][before:]:
                        at_ms = await asyncio.to_thread(self._kafka.stamped_ms, topic, *fresh[-1][:2])
                        ahead = at_ms - round(time.time() * 1000)
            await asyncio.sleep(fault.hold_s)
            sent = len(self._feeder.acknowledged[role]) - before
        except TimeoutError:
            raise NotObserved(f"no record of {topic} has a time ahead") from None
        finally:
            del self._feeder.clock_ahead_ms[role]
            await asyncio.to_thread(self._kafka.alter_topic, topic, {STAMP: "LogAppendTime"})
        return f"{sent} records, their times {ahead / 1000:.0f} s ahead"

    def _repeats(self, role: str) -> Sequence[Entry]:
        """Some records of the feed, all of one partition."""
        fed = self._feeder.acknowledged[role]
        if not fed:
            raise Missed(f"nothing of {role} is fed yet")
        partition = self._chance.choice(fed).partition
        there = [entry for entry in fed if entry.partition == partition]
        return self._chance.sample(there, min(BATCH, len(there)))

    async def _sent(self, producer: AIOKafkaProducer, role: str, repeats: Sequence[Entry]) -> list[Entry]:
        acknowledged = [
            await producer.send(self._topics[role], entry.value, key=entry.key, partition=entry.partition)
            for entry in repeats
        ]
        offsets = [sent.offset for sent in await asyncio.gather(*acknowledged)]
        return [entry._replace(offset=offset) for entry, offset in zip(repeats, offsets, strict=True)]

    @asynccontextmanager
    async def _producer(self, **how: Any) -> Any:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka.address, client_id="torture-other", acks="all", **how)
        async with producer:
            yield producer
