"""A client on a real Kafka: what it makes, sends and is told; and a broker that does not answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from aiokafka.admin import NewTopic
from broker.kafka_server import Kafka

from traderecon.client import kafka_client
from traderecon.client.client import Client, TopicCreation
from traderecon.client.connection import connect
from traderecon.topics import RESULT_BYTES, Topic
from traderecon.transport import Outgoing
from traderecon.transport.errors import NoAnswer, NotAccepted, NoTopic

T = TypeVar("T")


def ask(kafka: Kafka, question: Callable[[Client], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with connect(f"kafka://127.0.0.1:1;{kafka.address}", Path("unused")) as client:
            return await question(client)

    return asyncio.run(asked())


def test_a_topic_is_made_once_and_as_it_was_declared(kafka: Kafka) -> None:
    declared = Topic("client-made", compacted=True, retention_ms=86_400_000, max_message_bytes=RESULT_BYTES)
    assert ask(kafka, lambda client: client.create(declared, 3)) == TopicCreation("client-made", True, 3)
    assert ask(kafka, lambda client: client.create(declared, 5)) == TopicCreation("client-made", False, 3)
    assert ask(kafka, lambda client: client.topics())["client-made"] == 3
    config = ask(kafka, lambda client: client.config("client-made"))
    assert declared.config().items() <= config.items()


def test_topic_creation_is_retried_while_a_starting_kafka_lacks_brokers(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two copies where there is one broker: as where brokers have not joined yet; the third time they have."""
    asked: list[int] = []

    def wanted(name: str, partitions: int, _copies: int, _assignment: object, configs: dict[str, str]) -> NewTopic:
        asked.append(2 if len(asked) < 2 else 1)
        return NewTopic(name, partitions, asked[-1], None, configs)

    monkeypatch.setattr(kafka_client, "NewTopic", wanted)
    topic = Topic("client-started")
    assert ask(kafka, lambda client: client.create(topic, 1)) == TopicCreation("client-started", True, 1)
    assert asked == [2, 2, 1]


def test_a_topic_that_cannot_be_created_fails_with_the_brokers_reason(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wanted(name: str, partitions: int, _copies: int, _assignment: object, configs: dict[str, str]) -> NewTopic:
        return NewTopic(name, partitions, 2, None, configs)

    monkeypatch.setattr(kafka_client, "NewTopic", wanted)
    monkeypatch.setattr(kafka_client, "READY_S", 1.0)
    with pytest.raises(NotAccepted, match="did not create the topic client-lone: InvalidReplicationFactorError, "):
        ask(kafka, lambda client: client.create(Topic("client-lone"), 1))


def test_internal_topics_of_kafka_are_not_listed(kafka: Kafka) -> None:
    assert not [name for name in ask(kafka, lambda client: client.topics()) if name.startswith("__")]


def test_appended_records_are_read_in_order(kafka: Kafka) -> None:
    rows = [Outgoing(b"k%d" % number, b"x" * 1000, None, (("n", b"%d" % number),)) for number in range(3000)]

    async def append(client: Client) -> object:
        await client.create(Topic("client-rows"), 2)
        await asyncio.gather(client.append("client-rows", 0, rows), client.append("client-rows", 1, rows[:5]))
        await client.append("client-rows", 0, [])
        return await client.ends("client-rows")

    assert ask(kafka, append) == {0: 3000, 1: 5}
    found = [(record.partition, record.key) for record in kafka.records("client-rows")]
    assert found == [(0, row.key) for row in rows] + [(1, row.key) for row in rows[:5]]


def test_whether_there_are_records_since(kafka: Kafka) -> None:
    async def since(client: Client) -> list[bool]:
        await client.create(Topic("client-since"), 2)
        empty = await client.has_records_since("client-since", 0)
        await client.append("client-since", 1, [Outgoing(None, b"")])
        now_ms = time.time_ns() // 1_000_000
        return [empty, *[await client.has_records_since("client-since", now_ms + ms) for ms in (-60_000, 60_000)]]

    assert ask(kafka, since) == [False, True, False]


@pytest.mark.parametrize(
    "question",
    [
        lambda client: client.config("client-missing"),
        lambda client: client.ends("client-missing"),
        lambda client: client.append("client-missing", 0, [Outgoing(None, b"")]),
    ],
    ids=["config", "ends", "append"],
)
def test_a_missing_topic_is_an_error(kafka: Kafka, question: Callable[[Client], Awaitable[object]]) -> None:
    with pytest.raises(NoTopic, match="topics create"):
        ask(kafka, question)


def test_a_name_the_broker_refuses(kafka: Kafka) -> None:
    with pytest.raises(NotAccepted, match="InvalidTopicError"):
        ask(kafka, lambda client: client.create(Topic("no/topic"), 1))


def test_a_record_the_broker_refuses(kafka: Kafka) -> None:
    async def append(client: Client) -> None:
        await client.create(Topic("client-small"), 1)
        await client.append("client-small", 0, [Outgoing(b"T1", b"x" * 2_000_000)])

    with pytest.raises(NotAccepted, match=r"b'T1'.*MessageSizeTooLarge"):
        ask(kafka, append)


def test_a_large_record_where_the_topic_takes_it(kafka: Kafka) -> None:
    async def append(client: Client) -> object:
        await client.create(Topic("client-large", max_message_bytes=RESULT_BYTES), 1)
        await client.append("client-large", 0, [Outgoing(None, b"x" * 2_000_000), Outgoing(None, b"y")])
        return await client.ends("client-large")

    assert ask(kafka, append) == {0: 2}


@pytest.mark.matrix("B2")
def test_an_append_resumes_when_the_broker_returns(kafka: Kafka) -> None:
    rows = [Outgoing(None, b"%d" % number) for number in range(100)]

    async def append(client: Client) -> None:
        await client.create(Topic("client-back"), 1)
        await client.append("client-back", 0, rows[:50])
        kafka.kill()
        rest = asyncio.create_task(client.append("client-back", 0, rows[50:]))
        await asyncio.sleep(0)
        kafka.start()  # it dies with the thread that started it, so in this one
        await rest

    ask(kafka, append)
    values = [record.value for record in kafka.records("client-back")]
    assert values[:50] == [row.value for row in rows[:50]]
    assert values[-50:] == [row.value for row in rows[50:]]


@pytest.mark.matrix("B2")
def test_a_missing_group_coordinator_is_retried(kafka: Kafka) -> None:
    kafka.delete_topic("__consumer_offsets")  # as on a new cluster: the first question for a coordinator makes it
    found = ask(kafka, lambda client: client.rights((), ("client-rights",)))
    assert "Read" in (found["group", "client-rights"] or ())


def test_no_broker_listens(tmp_path: Path) -> None:
    async def run() -> None:
        async with connect("kafka://127.0.0.1:1", tmp_path):
            pass

    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:1: .*TRADERECON_BROKER"):
        asyncio.run(run())


def test_a_listener_that_does_not_answer(kafka: Kafka) -> None:
    kafka.pause()
    begun = time.monotonic()
    with pytest.raises(NoAnswer, match=r"no answer from .* within 10 s: is it running"):
        ask(kafka, lambda client: client.topics())
    assert time.monotonic() - begun < 15
