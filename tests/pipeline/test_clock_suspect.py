"""C19: two hundred trades of one broker near the tolerance are all matched, and its clock is one incident."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline.trades import execution, matched_count
from pipeline_case import Installation

INCIDENT = 'traderecon_incidents_open{kind="clock_suspect"}'
TRADES = 200


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path, topic_partitions=2)
    installation.create_topics()
    yield installation
    installation.close()


def test_a_broker_whose_times_drift_one_way_is_one_incident(desk: Installation) -> None:
    worker, topics = desk.start_ready(), desk.topics
    for number in range(TRADES):
        later = f"2025-07-26T10:01:23.{80 + number % 20:03d}Z"
        desk.append(topics.executions, [execution(number, broker="BRKA")])
        desk.append(topics.broker_confirmations, [execution(number, broker="BRKA", timestamp=later)])
    desk.until(lambda: matched_count(desk) == TRADES, "all are matched")
    desk.until(lambda: worker.metric(INCIDENT) == 1, "the drift is an incident", 30)
    assert "the confirmations of BRKA are later than the executions" in worker.get("/status").decode()
    assert worker.log.count("incident clock_suspect") == 1
