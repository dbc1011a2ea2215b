"""F6: topics of unequal partition counts: every event raises, and is acknowledged. Here the preflight refuses."""

from typing import Any

import faust
import pytest
from broker.case import Case, our_app, put_all, stock_app
from broker.stage import Stage
from faust.types import StreamT

from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch
from traderecon.transport.app import StreamApp

PARTITIONS = {"two": 2, "three": 3}


def stock(case: Case) -> faust.App:
    app = stock_app(case, topic_partitions=2)
    rows: Any = app.Table("rows", key_type=bytes, value_type=bytes)

    async def keep(stream: Any) -> None:
        async for key, value in stream.items():
            rows[key] = value

    for role in PARTITIONS:
        app.agent(app.topic(case.topic(role), key_serializer="raw", value_serializer="raw"), name=role)(keep)
    return app


def ours(case: Case) -> StreamApp:
    app = our_app(case, partitions=2)
    rows = BatchTable(app, name="rows", partitions=2)
    app.tables.add(rows)

    async def keep(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            await put_all(rows, batch)

    for role in PARTITIONS:
        app.agent(app.topic(case.topic(role)), name=role)(keep)
    return app


SPANS = [(role, partition) for role, partitions in PARTITIONS.items() for partition in range(partitions)]


@pytest.mark.nightly
def test_f6_stock_commits_records_it_cannot_store(stage: Stage) -> None:
    for role, partitions in PARTITIONS.items():
        stage.create(role, partitions)
    worker = stage.start_ready("stock")
    for role, partition in SPANS:
        stage.append(role, [(b"%s %d" % (role.encode(), partition), b"")], partition)
    stage.until(lambda: all(stage.committed(*span) for span in SPANS), "every partition is committed")
    assert worker.leave() == 0
    assert {key for _, _, key, _ in stage.kafka.records(stage.topic("rows-changelog"))} == {b"two 0", b"two 1"}


@pytest.mark.matrix("T2")
def test_f6_ours_refuses_to_start(stage: Stage) -> None:
    for role, partitions in PARTITIONS.items():
        stage.create(role, partitions)
    worker = stage.start("ours")
    assert worker.ended() == 78
    for role, partitions in PARTITIONS.items():
        assert f"{stage.topic(role)} {partitions}" in worker.log
