"""The processes of one worker on a Kafka: they answer as one, and live and end together."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker.feeding import produce
from broker.kafka_server import Kafka
from broker.waiting import until
from pipeline_case import READY_S, Installation, Running
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=200, profile="typical")
GONE_S = 5


@pytest.fixture
def installation(kafka: Kafka, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """Topics of this test's own; nothing runs."""
    prefix = f"{request.node.name.removeprefix('test_')[:20]}."
    installation = Installation(tmp_path, f"kafka://{kafka.address}", topic_prefix=prefix, grace_seconds=2)
    installation.create_topics()
    yield installation
    installation.close()


def gone(worker: Running) -> bool:
    return not worker.pids


def test_a_worker_answers_for_all_its_processes(kafka: Kafka, installation: Installation) -> None:
    worker, truth = installation.start_ready(), batch_of(installation, DAY)
    assert len(worker.pids) == 3
    produce(kafka, installation.prefix, DAY)
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    assert json.loads(worker.get("/healthz/ready")) == {
        "ready": True,
        "roles": {
            **{role: {"ready": True, "taking_in": True} for role in ("intake", "matching", "sink")},
            "database": {"reachable": True},
        },
    }
    for counted in ("messages_consumed", "results", "sink_rows"):
        assert worker.metric(f"traderecon_{counted}_total") > 0
    families = [line for line in worker.get("/metrics").decode().splitlines() if line.startswith("# TYPE ")]
    assert len(families) == len(set(families))
    assert worker.leave() == 0
    assert gone(worker)


def test_a_worker_with_one_stage_is_one_process(installation: Installation) -> None:
    worker = installation.start_ready("matching")
    assert worker.pids == [worker.pid]
    assert worker.leave() == 0


def test_k1_all_processes_end_when_the_one_that_was_started_is_killed(installation: Installation) -> None:
    worker = installation.start_ready()
    homes = [*installation.data_dir.glob("worker-*")]
    os.kill(worker.pid, signal.SIGKILL)
    heir = installation.start()
    until(heir.ready, "the next one is ready", READY_S)
    assert gone(worker)
    assert [*installation.data_dir.glob("worker-*")] == homes, "it took the same home"


def test_k1_a_worker_ends_when_one_of_its_processes_is_killed(installation: Installation) -> None:
    worker = installation.start_ready()
    os.kill(worker.pids[1], signal.SIGKILL)
    assert worker.ended() == 70
    until(lambda: gone(worker), "all are gone", GONE_S)
    assert "the process of intake ended with -9, so this worker does" in worker.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_in_order_when_all_its_processes_are_told_to(
    installation: Installation, number: signal.Signals
) -> None:
    worker = installation.start_ready()
    os.killpg(worker.pid, number)
    assert worker.ended() == 0
    assert gone(worker)


def test_a_worker_ends_in_order_when_one_of_its_processes_is_told_to(installation: Installation) -> None:
    worker = installation.start_ready()
    os.kill(worker.pids[2], signal.SIGTERM)
    assert worker.ended() == 0
    assert gone(worker)


def test_a_process_that_does_not_answer_is_not_well(installation: Installation) -> None:
    worker = installation.start_ready()
    os.kill(worker.pids[1], signal.SIGSTOP)
    until(lambda: not worker.ready(), "it is not ready", READY_S)
    assert b"traderecon_sink_rows" in worker.get("/metrics")
    os.kill(worker.pids[1], signal.SIGCONT)
    until(worker.ready, "it is ready again", READY_S)
    assert worker.leave() == 0
