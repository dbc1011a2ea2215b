"""F2: with two actors, Faust commits past an event that is not finished. Here there is one, and no other choice."""

import asyncio
from pathlib import Path
from typing import Any

import faust
import pytest
from broker.case import Case, our_app, stock_app
from broker.stage import Stage
from faust.exceptions import ImproperlyConfigured
from faust.types import StreamT

from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp

VALUES = [b"%d" % number for number in range(20)]
STUCK = b"5"
REPAIRED = "repaired"


async def finish(value: bytes | None, case: Case) -> None:
    """Work that never ends for one of the values, until somebody repairs it."""
    if value == STUCK and case.mark != REPAIRED:
        await asyncio.Event().wait()


def stock(case: Case) -> faust.App:
    app = stock_app(case)
    seen = app.topic(case.topic("seen"), value_serializer="raw")

    @app.agent(app.topic(case.topic("in"), value_serializer="raw"), concurrency=2)
    async def note(values: Any) -> None:
        async for value in values:
            await finish(value, case)
            await seen.send(value=value)

    return app


def ours(case: Case) -> StreamApp:
    app = our_app(case, batch_records=1)

    @app.agent(app.topic(case.topic("in")))
    async def note(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            for record in batch:
                await finish(record.value, case)
                await app.append(case.topic("seen"), 0, [Outgoing(None, record.value)])

    return app


@pytest.mark.nightly
def test_f2_stock_commits_past_unfinished_records(stage: Stage) -> None:
    for role in ("in", "seen"):
        stage.create(role)
    first = stage.start_ready("stock")
    stage.append("in", VALUES)
    stage.until(lambda: stage.committed("in") == len(VALUES), "everything is committed, the unfinished value too")
    first.kill()
    stage.start_ready("stock", mark=REPAIRED)
    stage.append("in", [b"after"])
    stage.until(lambda: b"after" in stage.values("seen"), "the repaired agents have caught up")
    assert STUCK not in stage.values("seen")


def test_f2_ours_commits_up_to_it_and_comes_back(stage: Stage) -> None:
    for role in ("in", "seen"):
        stage.create(role)
    stage.append("in", VALUES)
    first = stage.start("ours")
    stage.until(lambda: stage.committed("in") == int(STUCK), "what is before it is committed")
    first.kill()
    assert stage.committed("in") == int(STUCK)
    stage.start("ours", mark=REPAIRED)
    stage.until(lambda: stage.committed("in") == len(VALUES), "everything is committed")
    assert set(stage.values("seen")) == set(VALUES)


async def read(batches: StreamT[MicroBatch]) -> None:
    """Take everything, do nothing."""
    async for _ in batches:
        pass


def test_f2_ours_refuses_a_second_actor(tmp_path: Path) -> None:
    app = our_app(Case("127.0.0.1:1", "refused", tmp_path))
    with pytest.raises(ImproperlyConfigured, match="concurrency 2"):
        app.agent(app.topic("in"), concurrency=2)(read)
