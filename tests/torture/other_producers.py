"""Other producers: they repeat records of the feed, in another codec or in a transaction that stays open.

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
"""The codec ids in a batch's attributes. Source: Kafka's protocol, Record Batch."""
REPEATS = 20
PAUSE_S = 0.5
SEEN_WITHIN_S = 60
TIMESTAMP_TYPE, MAX_AHEAD, AMPLE_MS = "message.timestamp.type", "message.timestamp.after.max.ms", str(2**63 - 1)
TIMEOUT_MS = 120_000
"""The timeout after which Kafka aborts the transaction."""


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
                sent = await self._send(producer, role, repeats)
                for entry in sent:
                    actual = await asyncio.to_thread(self._kafka.codec, self._topics[role], *entry[:2])
                    if actual != CODECS[codec]:
                        raise NotObserved(
                            f"the batch at {entry.partition}/{entry.offset} has codec {actual}, not {codec}"
                        )
                self._feeder.record_acknowledged(role, sent)
                offsets += [entry.offset for entry in sent]
                await asyncio.sleep(PAUSE_S)
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
                sent = await self._send(producer, role, repeats)
                first = min(entry.offset for entry in sent)
                await wait_until(unstable, f"{topic}[{partition}] is stable up to less than its end", SEEN_WITHIN_S)
                await asyncio.sleep(fault.hold_s)
                unstable_offsets = self._kafka.end(topic, partition) - self._kafka.stable_end(topic, partition)
            except BaseException:
                await producer.abort_transaction()
                raise
            await (producer.commit_transaction() if ending == "commit" else producer.abort_transaction())
        if ending == "commit":
            self._feeder.record_acknowledged(role, sent)
        if not unstable_offsets:
            raise NotObserved(f"the transaction at {topic}[{partition}] {first} was over before its time")
        unstable_from = f"{unstable_offsets} offsets of {role}[{partition}] unstable from {first}"
        return f"{unstable_from}, {len(repeats)} repeats, then {ending}"

    async def step(self, fault: Fault) -> str:
        """Have an input take its producer's time, whose clock is ahead for a while. Raises NotObserved."""
        role, clock_ahead_ms = fault.target, fault.limit * 1000
        topic, acknowledged_before = self._topics[role], len(self._feeder.acknowledged[role])
        await asyncio.to_thread(self._kafka.alter_topic, topic, {TIMESTAMP_TYPE: "CreateTime", MAX_AHEAD: AMPLE_MS})
        try:
            self._feeder.clock_ahead_ms[role] = clock_ahead_ms
            observed_ahead_ms = 0
            async with asyncio.timeout(SEEN_WITHIN_S):
                while observed_ahead_ms < clock_ahead_ms / 2:
                    await asyncio.sleep(POLL_S)
                    if new_entries := self._feeder.acknowledged[role][acknowledged_before:]:
                        timestamp_ms = await asyncio.to_thread(self._kafka.stamped_ms, topic, *new_entries[-1][:2])
                        observed_ahead_ms = timestamp_ms - round(time.time() * 1000)
            await asyncio.sleep(fault.hold_s)
            sent = len(self._feeder.acknowledged[role]) - acknowledged_before
        except TimeoutError:
            raise NotObserved(f"no record of {topic} has a time ahead") from None
        finally:
            del self._feeder.clock_ahead_ms[role]
            await asyncio.to_thread(self._kafka.alter_topic, topic, {TIMESTAMP_TYPE: "LogAppendTime"})
        return f"{sent} records, their times {observed_ahead_ms / 1000:.0f} s ahead"

    def _repeats(self, role: str) -> Sequence[Entry]:
        """Some records of the feed, all of one partition."""
        fed = self._feeder.acknowledged[role]
        if not fed:
            raise Missed(f"nothing of {role} is fed yet")
        partition = self._chance.choice(fed).partition
        candidates = [entry for entry in fed if entry.partition == partition]
        return self._chance.sample(candidates, min(REPEATS, len(candidates)))

    async def _send(self, producer: AIOKafkaProducer, role: str, repeats: Sequence[Entry]) -> list[Entry]:
        acknowledged = [
            await producer.send(self._topics[role], entry.value, key=entry.key, partition=entry.partition)
            for entry in repeats
        ]
        offsets = [metadata.offset for metadata in await asyncio.gather(*acknowledged)]
        return [entry._replace(offset=offset) for entry, offset in zip(repeats, offsets, strict=True)]

    @asynccontextmanager
    async def _producer(self, **options: Any) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka.address, client_id="torture-other", acks="all", **options
        )
        async with producer:
            yield producer
