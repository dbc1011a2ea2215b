"""F1: a value that does not decode takes its valid neighbours with it. Here it is a dead letter, alone.

Plain Faust throws the error into the agent, which is not restarted for seconds; the values after it wait in a
queue, below offsets that the dead letters behind them have already moved on.
"""

from typing import Any

import faust
import msgspec
import pytest
from broker.case import Case, our_app, stock_app
from broker.stage import Stage
from faust.types import StreamT

from traderecon.transport import MicroBatch, Outgoing
from traderecon.transport.app import StreamApp

VALUES = [b'{"n": 0}', b"{bad", b'{"n": 2}', b"[]", b'{"n": 4}', b'{"n": "\xff"}', b'{"n": 6}', b"", b'{"n": 8}']
GOOD = [b"0", b"2", b"4", b"6", b"8"]


class Number(faust.Record, serializer="json"):
    """What a valid value says, in Faust's way."""

    n: int


class OurNumber(msgspec.Struct):
    """What a valid value says."""

    n: int


def stock(case: Case) -> faust.App:
    """Typed values, as a tutorial has them."""
    app = stock_app(case)
    seen = app.topic(case.topic("seen"), value_serializer="raw")

    @app.agent(app.topic(case.topic("in"), value_type=Number))
    async def note(numbers: Any) -> None:
        async for number in numbers:
            await seen.send(value=b"%d" % number.n)

    return app


def ours(case: Case) -> StreamApp:
    """Bytes, decoded in the agent."""
    app = our_app(case)

    @app.agent(app.topic(case.topic("in")))
    async def note(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            seen, dead = [], []
            for record in batch:
                try:
                    number = msgspec.json.decode(record.value or b"", type=OurNumber)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    dead.append(Outgoing(record.key, record.value))
                else:
                    seen.append(Outgoing(None, b"%d" % number.n))
            for role, rows in (("seen", seen), ("dead", dead)):
                if rows:
                    await app.append(case.topic(role), 0, rows)

    return app


@pytest.mark.nightly
def test_f1_stock_loses_valid_neighbours(stage: Stage) -> None:
    for role in ("in", "seen"):
        stage.create(role)
    first = stage.start_ready("stock")
    stage.append("in", VALUES)
    stage.until(lambda: stage.committed("in") > 2, "the third value is committed")
    assert first.leave() == 0
    stage.start_ready("stock")
    stage.append("in", [b'{"n": 9}'])
    stage.until(lambda: b"9" in stage.values("seen"), "the agent has caught up")
    assert b"2" not in stage.values("seen")


@pytest.mark.matrix("D4")
def test_f1_ours_sees_every_valid_value_once(stage: Stage) -> None:
    for role in ("in", "seen", "dead"):
        stage.create(role)
    stage.append("in", VALUES)
    worker = stage.start("ours")
    stage.until(lambda: stage.committed("in") == len(VALUES), "everything is committed")
    assert stage.values("seen") == GOOD
    assert stage.values("dead") == VALUES[1::2]
    assert worker.leave() == 0
