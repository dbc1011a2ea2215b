"""F7: a topic that does not exist: the worker says ready, and nothing happens. Here the preflight refuses."""

from typing import Any

import faust
import pytest
from broker.case import Case, our_app, stock_app
from broker.stage import Stage

from traderecon.transport.app import StreamApp

ROLES = ("here", "missing")


async def read(stream: Any) -> None:
    """Take everything, do nothing."""
    async for _ in stream:
        pass


def stock(case: Case) -> faust.App:
    app = stock_app(case)
    for role in ROLES:
        app.agent(app.topic(case.topic(role), value_serializer="raw"), name=role)(read)
    return app


def ours(case: Case) -> StreamApp:
    app = our_app(case)
    for role in ROLES:
        app.agent(app.topic(case.topic(role)), name=role)(read)
    return app


@pytest.mark.nightly
def test_f7_stock_is_ready_without_its_topic(stage: Stage) -> None:
    stage.create("here")
    worker = stage.start_ready("stock")
    stage.append("here", [b"a"])
    stage.until(lambda: stage.committed("here") == 1, "the other topic is read")
    assert stage.topic("missing") not in stage.kafka.topics()
    assert worker.leave() == 0


@pytest.mark.matrix("T1")
def test_f7_ours_refuses_to_start(stage: Stage) -> None:
    stage.create("here")
    worker = stage.start("ours")
    assert worker.ended() == 78
    assert stage.topic("missing") in worker.log
    assert stage.topic("here") not in worker.log.splitlines()[-1]
