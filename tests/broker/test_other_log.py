"""Topics that are not what they were, on a Kafka: made anew shorter or longer, under a worker that rests or runs."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from broker.administration import read_again
from broker.kafka_server import Kafka
from pipeline.trades import duplicate_results, execution, matched_count, send
from pipeline_case import Installation, Running
from tiers import nightly_but

REFUSED = 78
TRADES = 12
STAMPED = {"message.timestamp.type": "LogAppendTime"}
pytestmark = pytest.mark.installation(inputs=(1, 1, 1), topic_partitions=2)


def begun(installation: Installation) -> Running:
    """A worker that has matched some trades."""
    worker = installation.start_ready()
    send(installation, range(TRADES))
    installation.until(lambda: matched_count(installation) == TRADES, "all are matched")
    return worker


def made_anew(kafka: Kafka, topic: str, records: int) -> None:
    """Delete a topic, make it again, and have so many records in each of its partitions."""
    partitions = kafka.partitions(topic)
    kafka.delete_topic(topic)
    kafka.create_topic(topic, partitions, STAMPED)
    for partition in range(partitions):
        if records:
            values = [(b"T%d" % number, execution(1_000 + number)) for number in range(records)]
            kafka.append(topic, values, partition)


@pytest.mark.matrix("B16")
@pytest.mark.parametrize(("name", "records"), [("legs", 400), pytest.param("reconciled", 0, marks=pytest.mark.nightly)])
def test_a_pipeline_topic_recreated_while_no_worker_runs_is_detected(
    kafka: Kafka, installation: Installation, name: str, records: int
) -> None:
    assert begun(installation).leave() == 0
    topic = installation.prefix + name
    made_anew(kafka, topic, records)
    again = installation.start()
    assert again.ended() == REFUSED
    assert f"{topic}[" in again.log
    assert "recreated" in again.log


@pytest.mark.matrix("B16")
def test_an_input_recreated_under_a_worker_ends_it_and_no_record_is_skipped(
    kafka: Kafka, installation: Installation
) -> None:
    worker = begun(installation)
    topic = installation.topics.executions
    made_anew(kafka, topic, 100)
    assert worker.ended() == REFUSED
    assert f"{topic}[0] had the topic id" in worker.log or f"{topic}[0]: offset" in worker.log
    # Kafka forgets what was committed of a topic that is deleted; what the worker committed since, it keeps.
    group = f"{installation.prefix}traderecon-intake"
    read_again(kafka.address, group, topic, kafka.partitions(topic))
    installation.start()
    decided = "SELECT count(*) FROM results WHERE trade_id LIKE 'G1___'"
    installation.until(lambda: installation.one(decided) == 100, "all of the new topic is decided")


@pytest.mark.matrix("B16")
@pytest.mark.parametrize("name", nightly_but("changelog", ["legs", "mismatch", "changelog"]))
def test_a_power_cut_that_truncates_an_output_ends_its_writer(
    kafka: Kafka, installation: Installation, name: str
) -> None:
    """The records had been acknowledged; the broker had not flushed them, and has others at their offsets soon."""
    worker = installation.start_ready()
    installation.append(installation.topics.executions, [execution(number) for number in range(TRADES)])
    others = [execution(number, price=7) for number in range(TRADES)]
    installation.append(installation.topics.broker_confirmations, others)
    broken = "SELECT count(*) FROM results WHERE state = 'MISMATCHED'"
    installation.until(lambda: installation.one(broken) == TRADES, "all are breaks")
    topic = getattr(installation.topics, name)
    refill = [(record.key, record.value) for record in kafka.records(topic)]
    kafka.kill()
    for partition in range(2):
        kafka.lose_tail(topic, partition, 0.5)
    kafka.start()
    for partition in range(2):
        kafka.append(topic, 5 * refill, partition)
    assert worker.ended() == REFUSED
    assert f"{topic}[" in worker.log
    again = installation.start()
    assert again.ended() == REFUSED


@pytest.mark.matrix("B16")
def test_a_broker_that_keeps_no_notes_is_refused(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path / "kafka")
    kafka.configure({"offset.metadata.max.bytes": "16"})
    kafka.start()
    with closing(Installation(tmp_path / "data", f"kafka://{kafka.address}", topic_prefix="b16.")) as installation:
        installation.create_topics()
        installation.append(installation.topics.executions, [execution(1)])
        worker = installation.start()
        assert worker.ended() == REFUSED
        assert "offset.metadata.max.bytes" in worker.log
    kafka.stop()


@pytest.mark.matrix("B16")
def test_quiet_partitions_that_have_expired_are_no_error(kafka: Kafka, installation: Installation) -> None:
    assert begun(installation).leave() == 0
    for role, names in (("intake", installation.topics.inputs), ("matching", (installation.topics.legs,))):
        for name in names:
            for partition in range(kafka.partitions(name)):
                done = kafka.committed(f"{installation.prefix}traderecon-{role}", name, partition)
                kafka.delete_records(name, done or 0, partition)
    worker = installation.start_ready()
    send(installation, range(TRADES, 2 * TRADES))
    installation.until(lambda: matched_count(installation) == 2 * TRADES, "it goes on")
    assert worker.leave() == 0


@pytest.mark.matrix("S13")
@pytest.mark.installation(inputs=(1, 1, 1), topic_partitions=2, grace_seconds=3600)
def test_a_deleted_changelog_and_no_store_lose_no_trade(kafka: Kafka, installation: Installation) -> None:
    worker = installation.start_ready()
    send(installation, range(10))
    installation.append(installation.topics.executions, [execution(number) for number in range(10, 25)])

    def waiting() -> int:
        return sum(sum(json.loads(row[0]).values()) for row in installation.rows("SELECT pending FROM standings"))

    installation.until(lambda: matched_count(installation) == 10 and waiting() == 15, "ten match, fifteen wait")
    assert worker.leave() == 0
    kafka.delete_topic(installation.topics.changelog)
    for home in installation.data_dir.glob("worker-*"):
        for store in home.glob("**/matching"):
            shutil.rmtree(store)
    refused = installation.start()
    assert refused.ended() == REFUSED
    assert installation.topics.changelog in refused.log
    installation.create_topics()
    worker = installation.start_ready()
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in range(10, 25)])
    installation.until(lambda: matched_count(installation) == 25, "those that waited match")
    assert duplicate_results(installation) == 0
    assert worker.leave() == 0
