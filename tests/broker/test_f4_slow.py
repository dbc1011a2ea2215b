"""F4: with a slow producer, Faust commits ahead of the changelog. Here the offset waits for it, however long.

The broker's quota makes the producer slow; the worker is killed meanwhile, and another begins with an empty disk.
"""

import faust
import pytest
from broker.case import Case, keep_in_ours, keep_in_stock, our_app, stock_app
from broker.stage import Stage

from traderecon.transport.app import StreamApp

ROWS = [(b"%03d" % number, b"x" * 2_000) for number in range(300)]
BYTES_PER_SECOND = 20_000
UNSENT = 50
"""More rows than could still be on their way when the worker is killed."""


def stock(case: Case) -> faust.App:
    return keep_in_stock(stock_app(case, broker_client_id=case.name), case)


def ours(case: Case) -> StreamApp:
    return keep_in_ours(our_app(case, batch_records=10, broker_client_id=case.name), case)


def kept(stage: Stage) -> set[bytes | None]:
    """The keys that a worker with an empty disk would find again."""
    return {key for _, _, key, _ in stage.kafka.records(stage.topic("rows-changelog"))} & {key for key, _ in ROWS}


def prepare(stage: Stage) -> None:
    stage.create("in")
    stage.create("rows-changelog", config={"cleanup.policy": "compact"})
    stage.kafka.throttle(stage.name, BYTES_PER_SECOND)


@pytest.mark.nightly
def test_f4_stock_commits_ahead_of_the_changelog(stage: Stage) -> None:
    prepare(stage)
    first = stage.start_ready("stock")
    stage.append("in", ROWS)
    stage.until(lambda: stage.committed("in") > len(kept(stage)) + UNSENT, "the offset is far ahead of the changelog")
    first.kill()
    stage.kafka.throttle(stage.name, None)
    nobody_reads_again = {key for key, _ in ROWS[: stage.committed("in")]}
    assert nobody_reads_again - kept(stage)


@pytest.mark.matrix("B5", "K3")
def test_f4_ours_never_commits_ahead_of_the_changelog(stage: Stage) -> None:
    prepare(stage)
    stage.append("in", ROWS)
    first = stage.start("ours")

    def under_way() -> bool:
        committed = stage.committed("in")
        assert committed <= len(kept(stage))
        return committed > UNSENT

    stage.until(under_way, "some of it is committed")
    first.kill()
    assert stage.committed("in") <= len(kept(stage))
    stage.kafka.throttle(stage.name, None)
    stage.start("ours", disk="another disk")
    stage.until(lambda: stage.committed("in") == len(ROWS), "everything is committed")
    assert kept(stage) == {key for key, _ in ROWS}
