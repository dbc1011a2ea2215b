"""A hostile day on Kafka, two workers: what they make of it together is what the batch makes of its files."""

import json

import pytest
from broker.feeding import produce
from broker.kafka_server import Kafka
from broker.waiting import until
from pipeline_case import READY_S, Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=3_000)


@pytest.mark.matrix("T4")
@pytest.mark.installation(inputs=(4, 3, 6))  # those of a producer may have any number of partitions
def test_two_workers_come_to_the_batch_verdict(kafka: Kafka, installation: Installation) -> None:
    workers = [installation.start(), installation.start()]
    for worker in workers:
        until(worker.ready, "both are ready", READY_S)
    sent = produce(kafka, installation.prefix, DAY)
    truth = batch_of(installation, DAY)
    installation.until_decided()
    for worker in workers:
        assert_as_in_batch(installation, truth, worker)
    shares = [worker.metric("traderecon_messages_consumed_total") for worker in workers]
    assert min(shares) > 0
    assert sum(shares) >= sent.total()  # more where a partition changed hands
    assert sum(worker.metric("traderecon_result_conflicts_total") for worker in workers) == 0
    assert_results_agree(kafka, installation)
    assert [worker.leave() for worker in workers] == [0, 0]


def assert_results_agree(kafka: Kafka, installation: Installation) -> None:
    """All results of a trade are in one partition; a version has one result, and that the same bytes wherever it is."""
    homes: dict[bytes | None, int] = {}
    said: dict[tuple[bytes | None, int], bytes | None] = {}
    for topic in (installation.topics.reconciled, installation.topics.mismatch):
        for record in kafka.records(topic):
            version = json.loads(record.value or b"")["version"]
            assert homes.setdefault(record.key, record.partition) == record.partition
            assert said.setdefault((record.key, version), record.value) == record.value
