"""The outbox: exactly the rows it counts as sent are in the log, in order."""

import asyncio
from pathlib import Path

import pytest

from traderecon.client.connection import connect
from traderecon.client.outbox import Outbox
from traderecon.topics import Topic
from traderecon.transport import Outgoing
from traderecon.transport.errors import NoTopic
from traderecon.transport.log import Log


def values(directory: Path, topic: str, partition: int) -> list[bytes | None]:
    with Log.open(directory / "log.db") as log:
        return [record.value for record in log.read(topic, partition, 0, 1000)]


def test_rows_keep_the_order_of_their_partition(tmp_path: Path) -> None:
    async def run() -> Outbox:
        async with connect("embedded://", tmp_path) as client:
            await client.create(Topic("a"), 2)
            outbox = Outbox(client)
            for number in range(9):
                outbox.put("a", number % 2, Outgoing(None, b"%d" % number))
                if number % 4 == 3:
                    await outbox.flush()
            await outbox.flush()
            await outbox.flush()
            return outbox

    assert asyncio.run(run()).sent == {"a": 9}
    assert values(tmp_path, "a", 0) == [b"0", b"2", b"4", b"6", b"8"]
    assert values(tmp_path, "a", 1) == [b"1", b"3", b"5", b"7"]


def test_a_rejected_append_keeps_the_counts_of_other_topics(tmp_path: Path) -> None:
    async def run() -> Outbox:
        async with connect("embedded://", tmp_path) as client:
            await client.create(Topic("a"), 1)
            outbox = Outbox(client)
            outbox.put("missing", 0, Outgoing(None, b""))
            outbox.put("a", 0, Outgoing(None, b"1"))
            with pytest.raises(NoTopic):
                await outbox.flush()
            return outbox

    assert asyncio.run(run()).sent == {"a": 1}


def test_a_cancelled_sender_still_counts_sent_records(tmp_path: Path) -> None:
    async def run() -> Outbox:
        async with connect("embedded://", tmp_path) as client:
            await client.create(Topic("a"), 1)
            outbox = Outbox(client)
            for number in range(500):
                outbox.put("a", 0, Outgoing(None, b"%d" % number))
            sending = asyncio.create_task(outbox.flush())
            await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            return outbox

    assert asyncio.run(run()).sent == {"a": 500}
    assert len(values(tmp_path, "a", 0)) == 500
