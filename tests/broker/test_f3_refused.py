"""F3: a changelog record that the broker refuses is a warning. Here it ends the process before the acknowledgement."""

import faust
import pytest
from broker.case import Case, keep_in_ours, keep_in_stock, our_app, stock_app
from broker.stage import Stage

from traderecon.transport.app import StreamApp

BIG = (b"big", b"x" * 5_000)
ROWS = [(b"a", b"1"), BIG, (b"c", b"3"), (b"d", b"4")]
CHANGELOG = {"cleanup.policy": "compact", "max.message.bytes": "2000"}


def stock(case: Case) -> faust.App:
    return keep_in_stock(stock_app(case), case)


def ours(case: Case) -> StreamApp:
    return keep_in_ours(our_app(case), case)


def kept(stage: Stage) -> set[bytes | None]:
    """The keys that a worker with an empty disk would find again."""
    return {record.key for record in stage.kafka.records(stage.topic("rows-changelog"))}


@pytest.mark.nightly
def test_f3_stock_commits_without_the_state(stage: Stage) -> None:
    stage.create("in")
    stage.create("rows-changelog", config=CHANGELOG)
    worker = stage.start_ready("stock")
    stage.append("in", ROWS)
    stage.until(lambda: stage.committed("in") == len(ROWS), "everything is committed")
    assert worker.leave() == 0
    assert BIG[0] not in kept(stage)


@pytest.mark.matrix("B7")
def test_f3_ours_stops_and_comes_back_to_it(stage: Stage) -> None:
    stage.create("in")
    changelog = stage.create("rows-changelog", config=CHANGELOG)
    stage.append("in", ROWS)
    worker = stage.start("ours")
    assert worker.ended() == 70
    assert "MessageSizeTooLarge" in worker.log
    assert stage.committed("in") == 0
    stage.kafka.alter_topic(changelog, {"max.message.bytes": "1000000"})
    stage.start("ours", disk="another disk")
    stage.until(lambda: stage.committed("in") == len(ROWS), "everything is committed")
    assert kept(stage) >= {key for key, _ in ROWS}
