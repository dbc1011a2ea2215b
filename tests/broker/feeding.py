"""A simulated day into the input topics as most producers send it: by librdkafka, with its own choice of partitions."""

from collections import Counter
from collections.abc import Collection

from broker.kafka_server import Kafka
from confluent_kafka import Producer
from pipeline_truth import Day

from traderecon.records import Source
from traderecon.simulator import PROFILES, messages

SENT_S = 120


def produce(
    kafka: Kafka, prefix: str, day: Day, *, sources: Collection[Source] = tuple(Source), timestamp_ms: int = 0
) -> Counter[Source]:
    """Send what these sources say in a day, and wait until the broker has it; gives how much that was.

    ``timestamp_ms`` is what the producer says of the time, which counts in a topic that takes a producer's word for it.
    """
    producer = Producer(
        {"bootstrap.servers": kafka.address, "linger.ms": 50, "queue.buffering.max.messages": 2_000_000}
    )
    sent: Counter[Source] = Counter()
    for message in messages(day.seed, day.trades, PROFILES[day.profile]):
        if message.source in sources:
            producer.produce(prefix + message.source, key=message.key, value=message.value, timestamp=timestamp_ms)
            sent[message.source] += 1
    assert producer.flush(SENT_S) == 0
    return sent
