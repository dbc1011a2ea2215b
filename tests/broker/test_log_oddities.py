"""What a log may hold or become besides records: transactions, another topic of the same name, no broker at all."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from broker.case import Case, our_app
from broker.stage import Stage

from traderecon.exit_codes import Exit
from traderecon.tables import BatchTable
from traderecon.transport import Outgoing
from traderecon.transport.app import StreamApp, TopicUse

TRANSACTIONS = 40


def ours(case: Case) -> StreamApp:
    """Hands on every record it has not seen, and remembers it."""
    app = our_app(case, topic_use=TopicUse(writes=[case.topic("out")]))
    table = BatchTable(app, name="seen", partitions=1)
    app.tables.add(table)

    @app.agent(app.topic(case.topic("in")))
    async def hand_on(batches: Any) -> None:
        async for batch in batches:
            write_batch = table.write_batch(batch)
            fresh = [record for record in batch if record.offset > write_batch.applied]
            await app.append(case.topic("out"), 0, [Outgoing(None, record.value) for record in fresh])
            for record in fresh:
                write_batch.put(b"%d" % record.offset, record.value or b"")
            await write_batch.write()

    return app


async def transactions(address: str, topic: str) -> None:
    """One record each, and every tenth one taken back."""
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=topic) as producer:
        for number in range(TRANSACTIONS):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"%d" % number)
            if number % 10 == 9:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()


def begin(stage: Stage) -> None:
    for role in ("in", "out"):
        stage.create(role)


def test_aborted_records_are_ignored(stage: Stage) -> None:
    begin(stage)
    stage.start_ready("ours")
    asyncio.run(transactions(stage.kafka.address, stage.topic("in")))
    stage.until(
        lambda: stage.committed("in") == stage.kafka.end(stage.topic("in"), 0), "every offset is done, markers too"
    )
    kept = [b"%d" % number for number in range(TRANSACTIONS) if number % 10 != 9]
    assert stage.values("out") == kept


@pytest.mark.matrix("B12")
def test_a_recreated_topic_is_detected(stage: Stage) -> None:
    begin(stage)
    worker = stage.start("ours")
    stage.kafka.append(stage.topic("in"), [b"%d" % number for number in range(5)])
    stage.until(lambda: stage.committed("in") == 5, "all is done")
    assert worker.leave() == 0
    stage.kafka.delete_topic(stage.topic("in"))
    stage.create("in")
    stage.kafka.append(stage.topic("in"), [b"a", b"b"])
    again = stage.start("ours")
    assert again.ended() == Exit.CONFIG
    assert "the record at offset 4 was read here, and the log has 0 to 2." in again.log


def test_a_worker_stops_without_its_broker(stage: Stage) -> None:
    begin(stage)
    worker = stage.start_ready("ours")
    stage.kafka.kill()
    assert worker.leave() in {0, 70}
