"""F14: an event of an assignment that is over is skipped, and its offset is committed. Here it stays open.

No lottery of rebalances: a stream is given an event of the generation before, then two of its own. Faust does not
deliver the first, and takes the offsets of the others for a run that begins at the group's offset. What stays open
for too long ends the process, where Faust only logs that a partition starves.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from broker.case import TIMING, Case, our_app, stock_app
from broker.stage import Stage
from faust.events import Event
from faust.types import TP, StreamT
from faust.types.tuples import ConsumerMessage

from traderecon.transport import MicroBatch
from traderecon.transport.app import StreamApp
from traderecon.transport.consumer import BatchConsumer
from traderecon.transport.progress import PartitionProgress

NOWHERE = "127.0.0.1:1"
IN = TP("in", 0)
BEFORE, NOW = 1, 2
COMMITTED = 5


def queue() -> list[ConsumerMessage]:
    """What waits in the stream's queue: the first was fetched before the rebalance."""
    return [
        ConsumerMessage(
            IN.topic, IN.partition, offset, 0.0, 0, [], None, b"%d" % offset, None, tp=IN, generation_id=generation
        )
        for offset, generation in ((COMMITTED, BEFORE), (COMMITTED + 1, NOW), (COMMITTED + 2, NOW))
    ]


def ours(case: Case) -> StreamApp:
    """An agent that is never done with what it was given."""
    BatchConsumer.watch_interval_s = 0.2
    app = our_app(case, timing=TIMING._replace(stall_s=0.5))

    @app.agent(app.topic(case.topic("in")))
    async def read(batches: StreamT[MicroBatch]) -> None:
        async for _ in batches:
            await asyncio.Event().wait()

    return app


async def two_through(app: Any, messages: list[ConsumerMessage]) -> list[Any]:
    """Put messages into a stream of the app; the first two values it gives, of which the first is finished."""
    topic = app.topic(IN.topic, value_serializer="raw")
    app.topics._acking_topics.add(IN.topic)
    app.consumer_generation_id = NOW
    app.flow_control.resume()
    stream = app.stream(topic)
    for message in messages:
        message.incref()
        await stream.channel.queue.put(Event(app, None, message.value, None, message))
    values = aiter(stream)
    try:
        return [await anext(values), await anext(values)]
    finally:
        await stream.stop()
        app.consumer._thread.loop.close()  # made with the consumer, and never run


@pytest.mark.nightly
def test_f14_stock_commits_past_skipped_records(tmp_path: Path) -> None:
    async def play() -> None:
        app: Any = stock_app(Case(NOWHERE, "f14-stock", tmp_path))
        app.consumer._committed_offset[IN] = COMMITTED
        assert await two_through(app, queue()) == [b"6", b"7"]
        assert app.consumer._new_offset(IN) > COMMITTED

    asyncio.run(play())


@pytest.mark.matrix("Z5")
def test_f14_ours_leaves_skipped_records_open(tmp_path: Path) -> None:
    async def play() -> None:
        app = our_app(Case(NOWHERE, "f14-ours", tmp_path))
        progress = PartitionProgress(COMMITTED)
        messages = queue()
        for message in messages:
            progress.deliver(message, message.offset + 1)
        assert await two_through(app, messages) == [b"6", b"7"]
        assert [message.acked for message in messages] == [False, True, False]
        assert progress.settle() == COMMITTED

    asyncio.run(play())


@pytest.mark.matrix("Z5")
def test_f14_ours_ends_when_it_stands_still(stage: Stage) -> None:
    stage.create("in")
    stage.append("in", [b"a", b"b"])
    worker = stage.start("ours")
    assert worker.ended() == 70
    assert f"{stage.topic('in')}[0] is stuck at offset 0 of 2" in worker.log
    assert stage.committed("in") == 0
