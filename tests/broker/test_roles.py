"""Two apps are two services of one process: what holds one up leaves the other alone."""

from typing import Any

import pytest
from broker.case import Case, our_app
from broker.stage import Stage

from traderecon.transport import Outgoing
from traderecon.transport.app import StreamApp

STUCK = b"stuck"
ROLES = ("a", "b")


def ours(case: Case) -> list[StreamApp]:
    return [echo(case, role) for role in ROLES]


def echo(case: Case, role: str) -> StreamApp:
    """An app with a group and a directory of its own, that hands on what it gets, and may get stuck."""
    app = our_app(case._replace(name=case.topic(role), directory=case.directory / role))

    @app.agent(app.topic(case.topic(f"{role}-in")), name=f"echo-{role}")
    async def agent(batches: Any) -> None:
        async for batch in batches:
            await app.append(case.topic(f"{role}-out"), 0, [Outgoing(None, record.value) for record in batch])
            if any(record.value == STUCK for record in batch):
                await app.sleep(3600)

    return app


@pytest.mark.matrix("Z6")
def test_an_app_that_is_stuck_leaves_the_other_alone(stage: Stage) -> None:
    for role in ROLES:
        stage.create(f"{role}-in")
        stage.create(f"{role}-out")
    stage.start("ours")
    stage.kafka.append(stage.topic("a-in"), [b"1", STUCK])
    stage.until(lambda: STUCK in stage.values("a-out"), "the first app is stuck")
    stage.kafka.append(stage.topic("a-in"), [b"2"])
    for number in range(5):
        goes_on(stage, number)
    assert stage.values("a-out") == [b"1", STUCK]


def goes_on(stage: Stage, number: int) -> None:
    """The second app hands on one more."""
    stage.kafka.append(stage.topic("b-in"), [b"%d" % number])
    stage.until(lambda: len(stage.values("b-out")) > number, "the second goes on")
