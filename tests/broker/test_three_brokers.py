"""Three brokers: our topics have three copies, two in sync, the changelog too; a dead broker stops nobody."""

import json
import subprocess
from pathlib import Path

import pytest
from broker.kafka_cluster import Cluster
from broker.waiting import until
from pipeline.trades import duplicate_results, matched_count, send
from pipeline_case import TRADERECON, Installation

LONG_S = 300


def check(installation: Installation) -> dict[str, str]:
    """What ``topics check`` says of each topic."""
    done = subprocess.run(
        [TRADERECON, "topics", "check", "--json"],
        env=installation.environment,
        cwd=installation.directory,
        capture_output=True,
        check=False,
    )
    return {one["topic"]: f"{one['fitness']} {one['text']}" for one in json.loads(done.stdout)}


@pytest.mark.matrix("B4")
def test_the_changelog_is_replicated_and_a_dead_broker_stops_no_worker(cluster: Cluster, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "installation", cluster.broker, topic_partitions=2)
    try:
        installation.create_topics()
        changelog = installation.topics.changelog
        for topic in (*installation.topics, changelog):
            assert {count for count, _ in cluster.copies(topic).values()} == {3}
        assert {said.partition(" ")[0] for said in check(installation).values()} == {"OK"}
        worker = installation.start_ready()
        send(installation, range(20))
        installation.until(lambda: matched_count(installation) == 20, "all are matched", LONG_S)
        cluster.leader(changelog).kill()
        send(installation, range(20, 40))
        installation.until(lambda: matched_count(installation) == 40, "with a broker less too", LONG_S)
        worker.kill()
        worker = installation.start_ready()
        send(installation, range(40, 60))
        installation.until(lambda: matched_count(installation) == 60, "and so does a worker that starts now", LONG_S)
        cluster.start()
        until(lambda: cluster.in_sync([changelog]), "the broker has caught up", LONG_S)
        assert duplicate_results(installation) == 0
        assert worker.leave() == 0
        cluster.running[0].alter_topic(changelog, {"min.insync.replicas": "1"})
        said = until(
            lambda: (found := check(installation)[changelog]).startswith("FEW") and found, "it is seen", LONG_S
        )
        assert str(said).startswith("FEW_COPIES has min.insync.replicas 1: the loss of a broker")
        cluster.coordinator("traderecon-matching").kill()
        worker = installation.start("matching")
        until(worker.ready, "a worker that asks about its group just when the broker that led it has died", LONG_S)
        assert worker.leave() == 0
    finally:
        installation.close()
