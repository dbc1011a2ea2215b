"""Partitions take turns: one with a long backlog does not keep the others waiting for the end of it.

What waits long is taken for a fetch that was dropped, and read again: then it is at the end of the line once more, and
in the end the watchdog stops a worker that is well. 200,000 trades in twelve partitions were enough.
"""

from itertools import groupby
from typing import Any

from broker.case import Case, our_app
from broker.stage import Stage

from traderecon.transport import Outgoing
from traderecon.transport.app import StreamApp, TopicUse

PARTITIONS = 5
BACKLOG = 4_000
"""Records of each partition: several batches, one fetch."""


def ours(case: Case) -> StreamApp:
    """Tells which partition each batch is of."""
    app = our_app(case, topic_use=TopicUse(writes=[case.topic("out")]))

    @app.agent(app.topic(case.topic("in")))
    async def tell(batches: Any) -> None:
        async for batch in batches:
            await app.append(case.topic("out"), 0, [Outgoing(None, b"%d" % batch.partition)])
            await app.sleep(0.05)

    return app


def test_no_partition_is_emptied_while_the_others_wait(stage: Stage) -> None:
    stage.create("in", PARTITIONS)
    stage.create("out")
    for number in range(PARTITIONS):
        stage.append("in", [b"x"] * BACKLOG, number)
    stage.start("ours")
    stage.until(lambda: all(stage.committed("in", each) == BACKLOG for each in range(PARTITIONS)), "all is done")
    told = stage.values("out")
    emptied = [each for each, run in groupby(told) if len(list(run)) == told.count(each) > 1]
    # The first may come alone: what the broker sends first is its own affair. Without turns it is every one of them.
    assert len(emptied) <= 1, f"the batches were of partitions {told}"
