"""``topics``, ``simulate``, ``ingest`` and ``doctor`` on a real Kafka, read by librdkafka as most consumers are."""

import json
import time
from collections import Counter
from pathlib import Path

import click
import pytest
from broker.kafka_server import Kafka
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from traderecon.cli.doctor import doctor
from traderecon.cli.ingest import ingest
from traderecon.cli.simulate import simulate
from traderecon.cli.topics import topics
from traderecon.exit_codes import Exit
from traderecon.records import Source
from traderecon.simulator import PROFILES, messages
from traderecon.topics import topics as topics_of

WITHIN_S = 60
RETENTION_DAYS = 35


def named(prefix: str) -> list[str]:
    """Every topic that `topics create` makes, in its order."""
    return [topic.name for topic in topics_of(prefix).declared(RETENTION_DAYS)]


@pytest.fixture
def prefix(kafka: Kafka, here: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The broker and topics of this test's own, in the settings."""
    prefix = f"{request.node.name.removeprefix('test_')[:60].strip('[]')}.".replace("[", ".").replace("]", "")
    monkeypatch.setenv("TRADERECON_BROKER", f"kafka://{kafka.address}")
    monkeypatch.setenv("TRADERECON_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("TRADERECON_TOPIC_PARTITIONS", "3")
    return prefix


def run(command: click.Command, *arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def consumed(kafka: Kafka, topic: str) -> list[Message]:
    """Everything in a topic, by partition."""
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "nobody", "enable.auto.commit": False})
    try:
        spans = {number: kafka.end(topic, number) for number in range(kafka.partitions(topic))}
        consumer.assign([TopicPartition(topic, number, 0) for number in spans])
        found: list[Message] = []
        deadline = time.monotonic() + WITHIN_S
        while len(found) < sum(spans.values()):
            assert time.monotonic() < deadline, f"{len(found)} of {spans} were read"
            found += consumer.consume(1000, timeout=1)
        return sorted(found, key=lambda message: (message.partition(), message.offset()))
    finally:
        consumer.close()


def partition_of_librdkafka(kafka: Kafka, topic: str, keys: set[bytes]) -> dict[bytes, int]:
    """Where librdkafka's default partitioner puts each key of a topic."""
    placed: dict[bytes, int] = {}

    def note(_: object, message: Message) -> None:
        key, partition = message.key(), message.partition()
        assert isinstance(key, bytes)
        assert partition is not None
        placed[key] = partition

    producer = Producer({"bootstrap.servers": kafka.address})
    for key in keys:
        producer.produce(topic, b"", key, on_delivery=note)
    assert producer.flush(WITHIN_S) == 0
    return placed


def standings(result: Result) -> dict[str, dict[str, str]]:
    return {one["topic"]: one for one in json.loads(result.stdout)}


def levels(result: Result) -> dict[str, str]:
    return {one["check"]: one["level"] for one in json.loads(result.stdout)}


@pytest.mark.parametrize("profile", ["typical", "hostile"])
def test_librdkafka_reads_what_simulate_sent(kafka: Kafka, prefix: str, profile: str) -> None:
    assert run(topics, "create").exit_code == 0
    result = run(simulate, "--trades", "400", "--profile", profile, "--json")
    assert result.exit_code == 0
    for source in Source:
        day = [sent for sent in messages(7, 400, PROFILES[profile]) if sent.source is source]
        found = consumed(kafka, prefix + source)
        assert json.loads(result.stdout)["topics"][prefix + source] == len(found) == len(day)
        for number in range(3):
            theirs = [(one.key(), one.value()) for one in found if one.partition() == number]
            assert theirs == [(sent.key, sent.value) for sent in day if sent.partition(3) == number]
        assert {one.timestamp()[0] for one in found} == {2}, "the broker gave the time"


def test_keys_go_where_librdkafka_would_put_them(kafka: Kafka, prefix: str) -> None:
    assert run(topics, "create").exit_code == 0
    assert run(simulate, "--trades", "300", "--profile", "hostile").exit_code == 0
    ours = {key: one.partition() for one in consumed(kafka, f"{prefix}executions") if (key := one.key()) is not None}
    assert partition_of_librdkafka(kafka, f"{prefix}broker_confirmations", set(ours)) == ours


def test_ingest_and_simulate_send_the_same(kafka: Kafka, prefix: str, here: Path) -> None:
    assert run(topics, "create").exit_code == 0
    run(simulate, "--trades", "300", "--profile", "hostile", "--csv", here)
    assert run(ingest, *(here / f"{source}.csv" for source in Source)).exit_code == 0
    for source in Source:
        day = [sent.value for sent in messages(7, 300, PROFILES["hostile"]) if sent.source is source]
        assert Counter(one.value() for one in consumed(kafka, prefix + source)) == Counter(day)


def test_without_topics_nothing_is_sent_and_nothing_made(kafka: Kafka, prefix: str, here: Path) -> None:
    run(simulate, "--trades", "5", "--csv", here)
    for result in (run(simulate, "--trades", "5"), run(ingest, here / "executions.csv")):
        assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
        assert f"{prefix}executions" in result.stderr
        assert "traderecon topics create" in result.stderr
    assert not [name for name in kafka.topics() if name.startswith(prefix)]


def test_topics_are_made_as_declared_and_once(kafka: Kafka, prefix: str) -> None:
    assert run(topics, "check").exit_code == Exit.CONFIG
    first = run(topics, "create")
    assert first.stdout.splitlines() == [f"{name}: created, 3 partitions" for name in named(prefix)]
    second = run(topics, "create")
    assert second.stdout.splitlines() == [f"{name}: exists, 3 partitions" for name in named(prefix)]
    assert (first.exit_code, second.exit_code, run(topics, "check").exit_code) == (0, 0, 0)
    assert {kafka.partitions(name) for name in named(prefix)} == {3}


def test_inputs_may_have_any_partitions_and_ours_may_not(kafka: Kafka, prefix: str) -> None:
    stamped = {"message.timestamp.type": "LogAppendTime"}
    kafka.create_topic(f"{prefix}executions", 7, stamped)
    kafka.create_topic(f"{prefix}mismatch", 2, {"max.message.bytes": "5000000"})
    created = run(topics, "create")
    assert created.exit_code == Exit.CONFIG
    assert f"{prefix}mismatch has 2 partitions" in created.stderr
    found = standings(run(topics, "check", "--json"))
    assert found[f"{prefix}executions"]["fitness"] == "OK"
    assert found[f"{prefix}mismatch"]["fitness"] == "OTHER_PARTITIONS"
    assert {one["fitness"] for one in found.values()} == {"OK", "OTHER_PARTITIONS"}


@pytest.mark.matrix("B8")
def test_topics_with_other_settings_are_warned_of(kafka: Kafka, prefix: str) -> None:
    kafka.create_topic(f"{prefix}executions", 3)
    kafka.create_topic(f"{prefix}reconciled", 3)
    assert run(topics, "create").exit_code == 0
    checked = run(topics, "check", "--json")
    assert checked.exit_code == 0
    found = standings(checked)
    assert (
        "message.timestamp.type CreateTime, not LogAppendTime: a leg counts as" in found[f"{prefix}executions"]["text"]
    )
    assert "max.message.bytes=4194304" in found[f"{prefix}reconciled"]["todo"]
    assert levels(run(doctor, "--json"))["topics"] == "WARN"


def test_the_doctor_finds_a_healthy_broker_healthy(kafka: Kafka, prefix: str) -> None:
    assert levels(run(doctor, "--json"))["topics"] == "FAIL"
    assert run(topics, "create").exit_code == 0
    assert run(simulate, "--trades", "20").exit_code == 0
    ends = {name: kafka.end(name, 0) for name in named(prefix)}
    result = run(doctor, "--json")
    assert result.exit_code == 0
    assert {"broker", "topics", "clock"} <= {check for check, level in levels(result).items() if level == "OK"}
    assert {name: kafka.end(name, 0) for name in named(prefix)} == ends, "no record of its own"


@pytest.mark.parametrize("ahead_s", [10, 3600])
def test_a_broker_whose_clock_is_ahead(kafka: Kafka, prefix: str, ahead_s: int) -> None:
    kafka.create_topic(f"{prefix}standings", 3, {"cleanup.policy": "compact"})
    assert run(topics, "create").exit_code == 0
    producer = Producer({"bootstrap.servers": kafka.address})
    # Stamped by its producer, as the broker would if its clock were ahead.
    producer.produce(f"{prefix}standings", b"{}", b"0", 0, timestamp=time.time_ns() // 1_000_000 + ahead_s * 1000)
    assert producer.flush(WITHIN_S) == 0
    result = run(doctor, "--json")
    assert levels(result)["clock"] == "WARN"
    assert result.exit_code == 0


@pytest.mark.usefixtures("prefix")
@pytest.mark.parametrize("command", [simulate, doctor])
def test_a_broker_that_does_not_answer_exits_with_4(kafka: Kafka, command: click.Command) -> None:
    kafka.pause()
    begun = time.monotonic()
    result = run(command)
    assert result.exit_code == Exit.UNREACHABLE
    assert kafka.address in result.output
    assert time.monotonic() - begun < 20
