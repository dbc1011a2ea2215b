"""Every story that Kafka can tell, in ``traderecon worker``: one order each. Time goes on by resets of the watermark.

The founding rules with every change; the other rules, one worker each, at night.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from broker.kafka_server import Kafka
from confluent_kafka import Producer
from pipeline_case import Installation
from scenario import Engine
from story.copies import copies_of, in_engine, profile_ids, require_own_ids
from story.course import Sent, course_of
from story.worker import GRACE_S, MARGIN_S, install, run_worker
from tiers import nightly_but

from traderecon.topics import topics

PROFILES = in_engine(Engine.KAFKA)
NAMES = profile_ids(PROFILES)
PARTITIONS = 3
SENT_S = 120
ROOM = 20_000_000
"""Bytes of the largest message, above that of G09."""


@pytest.mark.parametrize("name", nightly_but("founding", NAMES))
def test_kafka_comes_to_the_results_of_the_core(name: str, kafka: Kafka, tmp_path: Path) -> None:
    profile = [*PROFILES][NAMES.index(name)]
    number = NAMES.index(name)
    prefix = f"stories-{number}."
    for topic in topics(prefix).inputs:  # a producer's time counts nothing: intake takes the log's own
        config = {"message.timestamp.type": "CreateTime", "max.message.bytes": str(ROOM)}
        kafka.create_topic(topic, PARTITIONS, config)
    installation, rules = install(tmp_path, profile, f"kafka://{kafka.address}", topic_prefix=prefix)
    copies = [copy for name, story in PROFILES[profile].items() for copy in copies_of(name, story, orders=1)]
    require_own_ids(copies, rules)
    course = course_of(copies, rules, PARTITIONS)
    installation.create_topics()
    try:
        worker = installation.start_ready()
        resets = count(1)
        found = run_worker(
            installation, worker, course, partial(send, kafka, prefix), lambda: pass_graces(installation, next(resets))
        )
        assert found == []
        assert worker.leave() == 0
    finally:
        installation.close()


def send(kafka: Kafka, prefix: str, messages: Sequence[Sent]) -> None:
    producer = Producer({"bootstrap.servers": kafka.address, "message.max.bytes": ROOM, "linger.ms": 5})
    for topic, partition, value in messages:
        producer.produce(prefix + topic, value, partition=partition)
    assert producer.flush(SENT_S) == 0


def pass_graces(installation: Installation, number: int) -> None:
    """Set the watermark ahead of every grace: what was read since the last reset is at that reset's time or later."""
    at = datetime.fromtimestamp(time.time() + number * (GRACE_S + MARGIN_S), UTC)
    installation.run("watermark", "reset", "--reason", "a story", "--at", at.isoformat(), "--force")
