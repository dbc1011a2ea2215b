"""Catching up: workers come to topics in which one source is far ahead of the others; no break is false.

A trade is UNMATCHED only where a leg is missing from the log, however much later that leg lies in it, by its place or
by its time.
"""

import time

import pytest
from broker.feeding import produce
from broker.kafka_server import Kafka
from broker.waiting import until
from pipeline_case import Installation
from pipeline_truth import Day, Truth, assert_history_holds, batch_of

from traderecon.records import Source

DAY = Day(trades=8_000, profile="typical")
GRACE_S = 5
"""Less than the time in which a group misses a member."""
AHEAD_MS = 600_000
DAY_MS = 86_400_000
REST = (Source.CONFIRMATIONS, Source.PNL)
pytestmark = pytest.mark.installation(grace_seconds=GRACE_S)


@pytest.mark.matrix("C2")
@pytest.mark.installation(
    inputs=(4, 4, 4), input_config={"message.timestamp.type": "CreateTime"}, grace_seconds=GRACE_S
)
def test_executions_ten_minutes_ahead_make_no_false_break(kafka: Kafka, installation: Installation) -> None:
    now_ms = time.time_ns() // 1_000_000
    produce(kafka, installation.prefix, DAY, sources=[Source.EXECUTIONS], timestamp_ms=now_ms - AHEAD_MS)
    produce(kafka, installation.prefix, DAY, sources=REST, timestamp_ms=now_ms)
    assert_no_false_break(installation, batch_of(installation, DAY))


@pytest.mark.nightly
def test_records_that_are_a_day_ahead_keep_no_worker_from_starting(kafka: Kafka, installation: Installation) -> None:
    """A producer's clock was wrong while the topic took its time; all of it has been set right since."""
    topic = installation.topics.executions
    kafka.alter_topic(topic, {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**62)})
    ahead_ms = time.time_ns() // 1_000_000 + DAY_MS
    produce(kafka, installation.prefix, DAY, sources=[Source.EXECUTIONS], timestamp_ms=ahead_ms)
    kafka.alter_topic(topic, {"message.timestamp.type": "LogAppendTime"})
    produce(kafka, installation.prefix, DAY, sources=REST)
    assert_no_false_break(installation, batch_of(installation, DAY))


@pytest.mark.nightly
def test_confirmations_long_after_the_grace_make_no_false_break(kafka: Kafka, installation: Installation) -> None:
    produce(kafka, installation.prefix, DAY, sources=[Source.EXECUTIONS])
    sent_at_s = time.time()
    truth = batch_of(installation, DAY)
    until(lambda: time.time() > sent_at_s + 2 * GRACE_S, "every grace would be over")
    produce(kafka, installation.prefix, DAY, sources=REST)
    assert_no_false_break(installation, truth)


def test_a_worker_that_stands_still_holds_all_graces_back(kafka: Kafka, installation: Installation) -> None:
    """It has source partitions that nobody else reads until its group has noticed, which takes longer than a grace."""
    truth = batch_of(installation, DAY)
    workers = [installation.start_ready(), installation.start_ready()]
    workers[0].pause()
    produce(kafka, installation.prefix, DAY)
    sent_at_s = time.time()
    installation.until(lambda: time.time() > sent_at_s + 1.2 * GRACE_S, "every grace would be over")
    installation.until(lambda: installation.one("SELECT count(*) FROM result_history") > 0, "the other one works")
    assert unmatched(installation) <= missing(truth)
    workers[0].resume()
    assert_only_true_breaks(installation, truth)


def missing(truth: Truth) -> set[str]:
    """The trades that lack a leg in the day itself."""
    return {trade_id for trade_id, row in truth.rows.items() if row["state"] == "UNMATCHED"}


def unmatched(installation: Installation) -> set[str]:
    """The trades of which it was ever said that they lack a leg."""
    return {one for (one,) in installation.rows("SELECT trade_id FROM result_history WHERE state = 'UNMATCHED'")}


def assert_no_false_break(installation: Installation, truth: Truth) -> None:
    """Two workers, started one after the other, so that they share the partitions in the midst of it."""
    workers = [installation.start_ready(), installation.start_ready()]
    assert_only_true_breaks(installation, truth)
    assert [worker.leave() for worker in workers] == [0, 0]


def assert_only_true_breaks(installation: Installation, truth: Truth) -> None:
    installation.until_decided()
    told = installation.rows("SELECT trade_id FROM result_history WHERE state = 'UNMATCHED'")
    assert sorted(trade_id for (trade_id,) in told) == sorted(missing(truth))
    states = installation.rows("SELECT trade_id, state FROM results")
    assert dict(states) == {trade_id: row["state"] for trade_id, row in truth.rows.items()}
    assert_history_holds(installation)
