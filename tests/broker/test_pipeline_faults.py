"""A day on a broker that restarts, with workers that come and go, and with clocks that jump: the batch's verdict."""

import sys

import pytest
from broker.feeding import produce
from broker.kafka_server import Kafka
from broker.waiting import until
from pipeline.trades import matched_count, send
from pipeline_case import READY_S, Installation
from pipeline_truth import Day, Truth, assert_as_in_batch, batch_of

from traderecon.records.journal import Progress, encode_journal

DAY = Day(trades=2_500, profile="typical")
KILLS = 2
OTHER_CLOCK = """
import os
import time
from traderecon import clock
from traderecon.cli import main

first = os.getpid()

def now_ns():
    return time.time_ns() + int({shift_s}) * 10**9

clock.now_ns = now_ns
main()
"""
JUMPS = "(86_400, 0, -3_600)[int(time.monotonic() / 2) % 3]"
"""A day ahead, right, an hour behind, two seconds each."""
STOPPED_AT_ONCE = """
import os
import signal
from traderecon.cli import main
from traderecon.transport.failpoints import Failpoint, listen

def stop(point, topic):
    if point == Failpoint.FETCHED and topic.endswith("executions"):
        listen(None)
        os.kill(os.getpid(), signal.SIGTERM)

listen(stop)
main()
"""
"""Intake that is told to stop when it has its first records, before the log has given it any time."""
BEHIND = "-300"
BEHIND_ONCE_IT_RUNS = "-3_600 * (os.getpid() != first)"
"""Right in the process that checks the clock before it starts the others."""
pytestmark = pytest.mark.installation(grace_seconds=5)


def stored(installation: Installation, truth: Truth, share: float) -> bool:
    """Whether the database has so much of the day."""
    return bool(installation.one("SELECT count(*) >= ? FROM results", int(share * len(truth.rows))))


@pytest.mark.matrix("B1", "B3")
def test_a_broker_that_restarts_again_and_again_loses_and_doubles_nothing(
    kafka: Kafka, installation: Installation
) -> None:
    worker, truth = installation.start_ready(), batch_of(installation, DAY)
    kafka.stop()
    kafka.start()
    produce(kafka, installation.prefix, DAY)
    for kill in range(KILLS):
        installation.until(lambda: stored(installation, truth, 0.3 * kill), "some of it is stored")  # noqa: B023
        kafka.kill()
        kafka.start()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    assert worker.leave() == 0


@pytest.mark.matrix("K13")
def test_a_worker_can_be_stopped_before_any_clock_is_read(installation: Installation) -> None:
    send(installation, range(5))
    program = [sys.executable, "-c", STOPPED_AT_ONCE]
    worker = installation.start("intake", program=program)
    assert worker.ended() == 0
    assert "did not stop within" not in worker.log
    worker = installation.start_ready()
    installation.until(lambda: matched_count(installation) == 5, "what it left is done")
    assert worker.leave() == 0


@pytest.mark.matrix("Z7")
def test_workers_that_come_and_go_under_load_lose_and_double_nothing(kafka: Kafka, installation: Installation) -> None:
    truth = batch_of(installation, DAY)
    first = installation.start_ready()
    produce(kafka, installation.prefix, DAY)
    second, third = installation.start(), installation.start()
    for worker in (second, third):
        until(worker.ready, "all three are ready", READY_S)
    produce(kafka, installation.prefix, DAY)
    assert [worker.leave() for worker in (first, second)] == [0, 0]
    installation.until_decided()
    twice = truth._replace(rejects=truth.rejects + truth.rejects)
    assert_as_in_batch(installation, twice, third)
    assert third.leave() == 0


@pytest.mark.matrix("C4")
def test_a_worker_that_is_an_hour_behind_and_comes_second_believes_the_broker(
    kafka: Kafka, installation: Installation
) -> None:
    """The first one has begun the journal, and told no time yet."""
    for partition in range(installation.partitions):
        installation.append(installation.topics.legs, [encode_journal(Progress(0, {}, {}))], partition=partition)
    worker = installation.start(program=[sys.executable, "-c", OTHER_CLOCK.format(shift_s=BEHIND_ONCE_IT_RUNS)])
    until(worker.ready, "it is ready", READY_S)
    send(installation, range(10))
    installation.until(lambda: matched_count(installation) == 10, "all match")
    assert worker.leave() == 0


@pytest.mark.matrix("C1", "C4")
def test_workers_whose_clocks_jump_and_differ_come_to_the_batch_verdict(
    kafka: Kafka, installation: Installation
) -> None:
    truth = batch_of(installation, DAY)
    workers = [
        installation.start(program=[sys.executable, "-c", OTHER_CLOCK.format(shift_s=shift_s)])
        for shift_s in (JUMPS, BEHIND)
    ]
    for worker in workers:
        until(worker.ready, "both are ready", READY_S)
    produce(kafka, installation.prefix, DAY)
    installation.until_decided()
    assert_as_in_batch(installation, truth, workers[0])
    missing = {trade_id for trade_id, row in truth.rows.items() if row["state"] == "UNMATCHED"}
    told = installation.rows("SELECT DISTINCT trade_id FROM result_history WHERE state = 'UNMATCHED'")
    assert {trade_id for (trade_id,) in told} == missing
    assert [worker.leave() for worker in workers] == [0, 0]
