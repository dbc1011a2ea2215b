"""Every compression of Kafka: set by a producer, for a topic or by the broker, in the inputs and in topics of ours."""

import asyncio
import json
import shutil

import pytest
from aiokafka import AIOKafkaProducer
from broker.kafka_server import Kafka
from confluent_kafka import Producer
from pipeline_case import Installation, peak_mib
from tiers import nightly_but

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""What a batch's attributes say. Source: Kafka's protocol, Record Batch."""
SENT_S = 120
TRADES = 20
CHANGELOG = "traderecon-matching-trades-changelog"
LEG = {"ticker": "AAPL", "quantity": "100", "price": "190.5", "timestamp": "2025-07-26T10:01:23Z"}
BROKEN = b"{broken" * 20


def executions(name: str) -> list[bytes]:
    """Legs of the executions, and one record that is none."""
    return [*(json.dumps({"trade_id": f"{name}-{number}", **LEG}).encode() for number in range(TRADES)), BROKEN]


def feed(kafka: Kafka, installation: Installation, name: str, codec: str = "none") -> None:
    """Both sides of some trades, one by librdkafka, the other by aiokafka; all that both compress."""
    producer = Producer({"bootstrap.servers": kafka.address, "compression.type": codec, "linger.ms": 50})
    for value in executions(name):
        producer.produce(installation.topics.executions, value, partition=0)
    assert producer.flush(SENT_S) == 0

    async def confirm() -> None:
        kind = None if codec == "none" else codec
        async with AIOKafkaProducer(bootstrap_servers=kafka.address, compression_type=kind, linger_ms=50) as sender:
            topic = installation.topics.broker_confirmations
            acknowledged = [await sender.send(topic, value, partition=1) for value in executions(name)]
            await asyncio.gather(*acknowledged)

    asyncio.run(confirm())


def assert_fed(installation: Installation, times: int) -> None:
    """Every trade fed so far is decided, every broken record a dead letter, no offset without an account."""
    installation.until_decided()
    assert installation.rows("SELECT state, count(*) FROM results GROUP BY 1") == [("MATCHED", times * TRADES)]
    assert installation.one("SELECT count(*) FROM dead_letters") == 2 * times
    assert installation.one("SELECT sum(unaccounted) FROM ledger") == 0


@pytest.mark.matrix("D11")
@pytest.mark.installation(inputs=(1, 2, 1))
def test_the_batches_of_a_topic_may_each_have_another_codec(kafka: Kafka, installation: Installation) -> None:
    worker = installation.start_ready()
    for codec in CODECS:
        feed(kafka, installation, codec, codec)
    assert_fed(installation, len(CODECS))
    inputs = (installation.topics.executions, installation.topics.broker_confirmations)
    assert all(kafka.codecs(topic) == {*CODECS.values()} for topic in inputs)
    assert worker.leave() == 0


@pytest.mark.matrix("D11")
@pytest.mark.installation(inputs=(1, 2, 1))
@pytest.mark.parametrize("codec", nightly_but("zstd", CODECS))
def test_every_codec_is_read_whoever_set_it(kafka: Kafka, installation: Installation, codec: str) -> None:
    topics, number = installation.topics, CODECS[codec]
    inputs = (topics.executions, topics.broker_confirmations)
    ours = (topics.legs, topics.reconciled, topics.dead_letters, topics.accounts, topics.standings)
    changelog = installation.prefix + CHANGELOG
    worker = installation.start_ready()

    feed(kafka, installation, "producer", codec)
    assert_fed(installation, 1)
    assert all(kafka.codecs(topic) == {number} for topic in inputs)

    for topic in (*inputs, *ours, changelog):
        kafka.alter_topic(topic, {"compression.type": codec})
    feed(kafka, installation, "topic")
    assert_fed(installation, 2)
    assert all(kafka.codecs(topic) >= {number} for topic in (*ours, changelog))

    assert worker.leave() == 0
    for home in installation.data_dir.glob("worker-*"):
        shutil.rmtree(home / "matching")
    worker = installation.start_ready()  # its tables come from the changelog
    feed(kafka, installation, "topic")  # all of it is there already
    feed(kafka, installation, "again")
    installation.until_decided()
    assert installation.one("SELECT max(version) FROM results") == 2
    assert installation.one("SELECT count(*) FROM results") == 3 * TRADES
    assert worker.leave() == 0


@pytest.mark.matrix("D11")
@pytest.mark.installation(inputs=(1, 2, 1))
@pytest.mark.parametrize("codec", nightly_but("lz4", CODECS))
def test_every_codec_is_read_where_the_broker_sets_it_for_all(
    kafka: Kafka, installation: Installation, codec: str
) -> None:
    topics = installation.topics
    kafka.alter_broker({"compression.type": codec})
    try:
        worker = installation.start_ready()
        feed(kafka, installation, "broker")
        assert_fed(installation, 1)
        for topic in (topics.executions, topics.legs, topics.dead_letters, installation.prefix + CHANGELOG):
            assert kafka.codecs(topic) == {CODECS[codec]}
        assert "intact" in installation.run("audit", "verify").stdout
        assert worker.leave() == 0
    finally:
        kafka.alter_broker({"compression.type": ""})


BOMB = [bytes(1_000_000)] * 40
"""40 MB, which gzip makes 40 kB of."""
MOST_MIB = 500
"""Of one process: what it takes without a bomb, and some of 32 MiB."""


@pytest.mark.matrix("D12")
@pytest.mark.installation(inputs=(1, 1, 1))
def test_batches_that_decode_to_more_than_the_bound_are_a_dead_letter_each(
    kafka: Kafka, installation: Installation
) -> None:
    topics, gzip = installation.topics, CODECS["gzip"]
    worker = installation.start_ready()
    for topic in (topics.executions, topics.broker_confirmations):
        kafka.append(topic, executions("before"), codec=gzip)
        for _ in range(5):
            kafka.append(topic, BOMB, codec=gzip)
        kafka.append(topic, executions("after"))
    assert_fed_around(installation)
    assert kafka.committed(f"{installation.prefix}traderecon-intake", topics.executions) == kafka.end(topics.executions)
    assert max(peak_mib(pid) for pid in worker.pids) < MOST_MIB
    letters = installation.rows(
        "SELECT source_offset, truncated, length(raw), text FROM dead_letters WHERE code = 'SIZE_EXCEEDED' "
        "AND source_topic = ? ORDER BY source_offset",
        topics.executions,
    )
    last = [TRADES + 40 * bomb for bomb in range(1, 6)]
    assert [(offset, truncated) for offset, truncated, _, _ in letters] == [(offset, 1) for offset in last]
    first = f"offsets {TRADES + 1} to {last[0]} of {topics.executions}[0] are one batch of "
    assert letters[0][3].startswith(first)
    assert "compressed with gzip, that decodes to more than 33554432 bytes" in letters[0][3]
    assert worker.leave() == 0


def assert_fed_around(installation: Installation) -> None:
    """The neighbours are decided, and each offset of the bombs is accounted for."""
    installation.until_decided()
    assert installation.rows("SELECT state, count(*) FROM results GROUP BY 1") == [("MATCHED", 2 * TRADES)]
    sides = (installation.topics.executions, installation.topics.broker_confirmations)
    assert installation.rows(
        "SELECT legs, rejected, control, unaccounted FROM ledger WHERE topic IN (?, ?)", *sides
    ) == [(2 * TRADES, 2 + 200, 0, 0)] * len(sides)
