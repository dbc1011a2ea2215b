"""A partition of an input without a leader: everything else goes on, and only graces wait for it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker.kafka_cluster import Cluster
from pipeline.trades import execution
from pipeline_case import READY_S, Installation

from traderecon.topics import topics

FIRST, LAST = 1, 3
NO_LEADER = 'traderecon_incidents_open{kind="no_leader"}'


@pytest.fixture
def installation(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    """The executions have a second partition on the third node, and no copy of it."""
    installation = Installation(tmp_path, cluster.broker, grace_seconds=2)
    executions = topics("").executions
    config = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1"}
    cluster.place(executions, [[FIRST], [LAST]], config)
    installation.create_topics()
    yield installation
    installation.close()


def matched(installation: Installation) -> int:
    return int(installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") or 0)


def send(cluster: Cluster, installation: Installation, numbers: range, partition: int) -> None:
    """Both legs of some trades, the execution to a partition of its topic."""
    legs = [execution(number) for number in numbers]
    node = cluster.nodes[(FIRST, LAST)[partition]]
    node.append(installation.topics.executions, legs, partition)
    installation.append(installation.topics.broker_confirmations, legs)


@pytest.mark.matrix("B15")
def test_a_partition_without_a_leader_holds_graces_and_nothing_else(
    cluster: Cluster, installation: Installation
) -> None:
    worker, last = installation.start_ready(), cluster.nodes[LAST]
    send(cluster, installation, range(3), 0)
    send(cluster, installation, range(3, 6), 1)
    installation.until(lambda: matched(installation) == 6, "both partitions are read")

    last.kill()
    send(cluster, installation, range(6, 9), 0)
    installation.until(lambda: matched(installation) == 9, "the other partition is read")
    installation.until(lambda: worker.metric(NO_LEADER) == 1, "the partition is named")
    assert worker.leave() == 0

    again = installation.start_ready()
    send(cluster, installation, range(9, 12), 0)
    installation.until(lambda: matched(installation) == 12, "a worker starts with what can be read")
    installation.until(lambda: again.metric(NO_LEADER) == 1, "and names what cannot")
    assert f"{installation.topics.executions}[1] has no leader that answers" in again.log
    assert f"{installation.topics.executions}[1]: no leader" in installation.run("doctor").stdout
    installation.append(installation.topics.broker_confirmations, [execution(50)])
    until_s = time.time() + 3 * installation.grace_s
    installation.until(lambda: time.time() > until_s, "a grace passes")
    assert not installation.one("SELECT count(*) FROM results WHERE state = 'UNMATCHED'")

    cluster.start()
    installation.until(lambda: again.metric(NO_LEADER) == 0, "the partition is back", READY_S)
    send(cluster, installation, range(12, 15), 1)
    installation.until(lambda: matched(installation) == 15, "it is read from where it was left off")
    installation.until(
        lambda: installation.rows("SELECT trade_id FROM results WHERE state = 'UNMATCHED'") == [("G50",)],
        "the grace of the one that waits is over",
    )
    assert again.leave() == 0
