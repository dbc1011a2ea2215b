"""F1b: an agent that raises has its event acknowledged and skipped. Here the process ends, and nothing is.

What fails for the third time is put aside, so that one record does not hold up its partition for ever.
"""

from typing import Any

import faust
import pytest
from broker.case import Case, our_app, stock_app
from broker.stage import Stage
from faust.types import StreamT

from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp
from traderecon.transport.retry_counts import LIMIT, RetryCounts

BAD = b"bad"
VALUES = [b"a", BAD, b"c"]
REPAIRED = "repaired"


def handle(value: bytes | None, case: Case) -> None:
    """Work that fails on one of the values, until somebody repairs it."""
    if value == BAD and case.mark != REPAIRED:
        raise ValueError("a bug")


def stock(case: Case) -> faust.App:
    app = stock_app(case)
    seen = app.topic(case.topic("seen"), value_serializer="raw")

    @app.agent(app.topic(case.topic("in"), value_serializer="raw"))
    async def note(values: Any) -> None:
        async for value in values:
            handle(value, case)
            await seen.send(value=value)

    return app


def ours(case: Case) -> StreamApp:
    app = our_app(case, instance="the only one")
    retry_counts = RetryCounts(case.directory / "retry-counts.json")

    @app.agent(app.topic(case.topic("in")))
    async def note(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            seen, dead = [], []
            for record in batch:
                try:
                    handle(record.value, case)
                except ValueError:
                    if retry_counts.count_failure(batch, record) < LIMIT:
                        raise
                    dead.append(Outgoing(None, record.value))
                else:
                    seen.append(Outgoing(None, record.value))
            for role, rows in (("seen", seen), ("dead", dead)):
                if rows:
                    await app.append(case.topic(role), 0, rows)

    return app


def prepare(stage: Stage) -> None:
    for role in ("in", "seen", "dead"):
        stage.create(role)


@pytest.mark.nightly
def test_f1b_stock_skips_failed_records(stage: Stage) -> None:
    prepare(stage)
    first = stage.start_ready("stock")
    stage.append("in", VALUES)
    stage.until(lambda: stage.committed("in") >= 2, "the value it failed on is committed")
    assert first.leave() == 0
    stage.start_ready("stock", mark=REPAIRED)
    stage.append("in", [b"d"])
    stage.until(lambda: b"d" in stage.values("seen"), "the repaired agent has caught up")
    assert BAD not in stage.values("seen")


def test_f1b_ours_stops_and_comes_back_to_it(stage: Stage) -> None:
    prepare(stage)
    stage.append("in", VALUES)
    first = stage.start("ours")
    assert first.ended() == 70
    assert "a bug" in first.log
    assert stage.committed("in") == 0
    stage.start("ours", mark=REPAIRED)
    stage.until(lambda: stage.committed("in") == len(VALUES), "everything is committed")
    assert stage.values("seen") == VALUES


@pytest.mark.matrix("K14")
def test_f1b_ours_rejects_it_at_the_third_failure(stage: Stage) -> None:
    prepare(stage)
    stage.append("in", VALUES)
    for _ in range(LIMIT - 1):
        assert stage.start("ours").ended() == 70
    stage.start("ours")
    stage.until(lambda: stage.committed("in") == len(VALUES), "everything is committed")
    assert stage.values("seen") == [b"a", b"c"]
    assert stage.values("dead") == [BAD]
