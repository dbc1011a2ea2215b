"""F8: a full disk eats one record per restart of the agent. Here the process ends before the acknowledgement.

No file may grow beyond a limit that the third row is too much for: RocksDB sees what it would see on a full disk.
"""

import resource
from typing import Any

import faust
import pytest
from broker.case import Case, our_app, put_all, stock_app
from broker.stage import Stage
from faust.types import StreamT

from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp

ROOMY = "roomy"
FILE_BYTES = 1_000_000
ROWS = [(b"%d" % number, b"x" * 400_000) for number in range(4)]
KEYS = [key for key, _ in ROWS]


def fill(case: Case) -> None:
    """Make the disk as good as full, for this process."""
    if case.mark != ROOMY:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


def stock(case: Case) -> faust.App:
    fill(case)
    app = stock_app(case)
    rows: Any = app.Table("rows", key_type=bytes, value_type=bytes)
    done = app.topic(case.topic("done"), value_serializer="raw")

    @app.agent(app.topic(case.topic("in"), key_serializer="raw", value_serializer="raw"))
    async def keep(stream: Any) -> None:
        async for key, value in stream.items():
            rows[key] = value
            await done.send(value=key)

    return app


def ours(case: Case) -> StreamApp:
    fill(case)
    app = our_app(case, batch_records=1)
    rows = BatchTable(app, name="rows", partitions=1)
    app.tables.add(rows)

    @app.agent(app.topic(case.topic("in")))
    async def keep(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            await put_all(rows, batch)
            await app.append(case.topic("done"), 0, [Outgoing(None, record.key) for record in batch])

    return app


def prepare(stage: Stage) -> None:
    for role in ("in", "done"):
        stage.create(role)


def append(stage: Stage) -> None:
    for row in ROWS:
        stage.append("in", [row])


@pytest.mark.nightly
def test_f8_stock_commits_records_that_did_not_fit(stage: Stage) -> None:
    prepare(stage)
    first = stage.start_ready("stock")
    append(stage)
    stage.until(lambda: stage.committed("in") >= 3, "the row without room is committed")
    first.kill()
    stage.start_ready("stock", mark=ROOMY)
    stage.append("in", [(b"after", b"")])
    stage.until(lambda: b"after" in stage.values("done"), "with room, the agent has caught up")
    assert KEYS[2] not in stage.values("done")


@pytest.mark.matrix("S1")
def test_f8_ours_stops_and_comes_back_to_it(stage: Stage) -> None:
    prepare(stage)
    append(stage)
    first = stage.start("ours")
    assert first.ended() == 70
    assert stage.committed("in") <= 2
    stage.start("ours", mark=ROOMY)
    stage.until(lambda: stage.committed("in") == len(ROWS), "everything is committed")
    assert set(stage.values("done")) == set(KEYS)
