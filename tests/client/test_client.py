"""A client of the embedded log; tests/broker/test_client.py tests the same on Kafka."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from traderecon import clock
from traderecon.client.client import Client, TopicCreation
from traderecon.client.connection import connect
from traderecon.topics import Topic
from traderecon.transport import Outgoing
from traderecon.transport.errors import NotAccepted, NoTopic
from traderecon.transport.log import Log

T = TypeVar("T")


def ask(directory: Path, question: Callable[[Client], Awaitable[T]], broker: str = "embedded://") -> T:
    async def asked() -> T:
        async with connect(broker, directory) as client:
            return await question(client)

    return asyncio.run(asked())


def test_a_topic_is_made_once(tmp_path: Path) -> None:
    made = [ask(tmp_path, lambda client: client.create(Topic("a"), 4)) for _ in range(2)]
    assert made == [TopicCreation("a", True, 4), TopicCreation("a", False, 4)]
    assert ask(tmp_path, lambda client: client.topics()) == {"a": 4}


def test_an_existing_topic_keeps_its_partitions(tmp_path: Path) -> None:
    ask(tmp_path, lambda client: client.create(Topic("a"), 4))
    assert ask(tmp_path, lambda client: client.create(Topic("a"), 2)) == TopicCreation("a", False, 4)


def test_appended_records_are_visible_to_other_clients(tmp_path: Path) -> None:
    rows = [Outgoing(b"k", b"1"), Outgoing(None, None, 5, (("h", b"x"),))]

    async def append(client: Client) -> object:
        await client.create(Topic("a"), 2)
        await client.append("a", 1, rows)
        await client.append("a", 0, [])
        return await client.ends("a")

    before_ms = clock.now_ns() // 1_000_000
    assert ask(tmp_path, append) == {0: 0, 1: 2}
    with Log.open(tmp_path / "log.db") as log:
        first, second = log.read("a", 1, 0, 10)
    assert (first.key, first.value, second.timestamp, second.headers) == (b"k", b"1", 5, (("h", b"x"),))
    assert first.timestamp >= before_ms


def test_whether_there_are_records_since(tmp_path: Path) -> None:
    async def since(client: Client) -> list[bool]:
        await client.create(Topic("a"), 2)
        await client.append("a", 1, [Outgoing(None, b"", 1000)])
        return [await client.has_records_since("a", moment_ms) for moment_ms in (999, 1000, 1001)]

    assert ask(tmp_path, since) == [True, True, False]


def test_topic_settings_have_kafkas_names(tmp_path: Path) -> None:
    async def config(client: Client) -> list[str]:
        await client.create(Topic("a"), 1)
        await client.create(Topic("b", compacted=True), 1)
        return [(await client.config(name))["cleanup.policy"] for name in "ab"]

    assert ask(tmp_path, config) == ["delete", "compact"]


@pytest.mark.parametrize(
    "question",
    [
        lambda client: client.config("a"),
        lambda client: client.ends("a"),
        lambda client: client.append("a", 0, [Outgoing(None, b"")]),
    ],
    ids=["config", "ends", "append"],
)
def test_a_missing_topic_is_an_error(tmp_path: Path, question: Callable[[Client], Awaitable[object]]) -> None:
    with pytest.raises(NoTopic, match="topics create"):
        ask(tmp_path, question)


def test_a_record_the_log_refuses(tmp_path: Path) -> None:
    async def append(client: Client) -> None:
        await client.create(Topic("a", compacted=True), 1)
        await client.append("a", 0, [Outgoing(None, b"without a key")])

    with pytest.raises(NotAccepted, match="compacted"):
        ask(tmp_path, append)


def test_a_directory_may_be_named(tmp_path: Path) -> None:
    ask(tmp_path / "unused", lambda client: client.create(Topic("a"), 1), f"embedded://{tmp_path / 'log'}")
    assert (tmp_path / "log" / "log.db").exists()
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("broker", ["embedded://host/path", "amqp://host"])
def test_an_invalid_address_is_an_error(tmp_path: Path, broker: str) -> None:
    with pytest.raises(NotAccepted, match="write embedded://"):
        ask(tmp_path, lambda client: client.topics(), broker)


def test_a_data_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotAccepted, match="TRADERECON_DATA_DIR"):
        ask(tmp_path / "file", lambda client: client.topics())


def test_a_file_that_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("no log at all, and longer than a header of SQLite would be" * 20)
    with pytest.raises(NotAccepted, match=r"log\.db"):
        ask(tmp_path, lambda client: client.topics())
