"""The processes of one worker on a Kafka: they answer as one, and live and end together."""

import json
import os
import signal
import sys
from urllib.error import HTTPError

import pytest
from broker.feeding import produce
from broker.kafka_server import Kafka
from broker.waiting import until
from pipeline_case import READY_S, TRADERECON, Installation, Running
from pipeline_truth import Day, assert_as_in_batch, batch_of
from tiers import nightly_but

DAY = Day(trades=200, profile="typical")
LONG_DAY = Day(trades=2_500, profile="typical")
GONE_S = 5
STAGES = 2 + min(2, len(os.sched_getaffinity(0)))
"""Processes of intake, matching and sink; there are two more, the one that watches and the pages'."""
pytestmark = pytest.mark.installation(grace_seconds=2)
TOLD_AT_ONCE = """
import os, signal, time
from traderecon.worker import processes
from traderecon.cli import main

fork_processes = processes.fork_processes

def threads():
    return len(os.listdir("/proc/self/task"))

def interrupted(roles, to_fork, listening):
    until = time.monotonic() + 5
    while threads() > 1 and time.monotonic() < until:
        time.sleep(0.01)  # a thread that was waited for takes a moment more to leave the kernel
    print("threads:", threads(), flush=True)
    here = fork_processes(roles, to_fork, listening)
    if here.forks:
        os.killpg(os.getppid(), signal.SIGINT)
    return here

processes.fork_processes = interrupted
main()
"""
NO_PROCESS = """
import errno, os
from traderecon.cli import main

def fork():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

os.fork = fork
main()
"""


def gone(worker: Running) -> bool:
    return not worker.pids


def test_a_worker_answers_for_all_its_processes(kafka: Kafka, installation: Installation) -> None:
    worker, truth = installation.start_ready(), batch_of(installation, DAY)
    assert len(worker.pids) == STAGES + 2
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


@pytest.mark.matrix("K1")
def test_all_processes_end_when_the_one_that_was_started_is_killed(installation: Installation) -> None:
    worker = installation.start_ready()
    homes = [*installation.data_dir.glob("worker-*")]
    os.kill(worker.pid, signal.SIGKILL)
    heir = installation.start()
    until(heir.ready, "the next one is ready", READY_S)
    assert gone(worker)
    assert [*installation.data_dir.glob("worker-*")] == homes, "it took the same home"


@pytest.mark.matrix("K1")
def test_a_worker_ends_when_one_of_its_processes_is_killed(installation: Installation) -> None:
    worker = installation.start_ready()
    os.kill(worker.pids[1], signal.SIGKILL)
    assert worker.ended() == 70
    until(lambda: gone(worker), "all are gone", GONE_S)
    assert "the process of intake ended with exit code -9, so the worker ends" in worker.log


@pytest.mark.matrix("K1")
@pytest.mark.parametrize("place", nightly_but(2, range(1, 1 + STAGES)))
def test_a_process_killed_at_work_loses_and_doubles_nothing(
    kafka: Kafka, installation: Installation, place: int
) -> None:
    worker, truth = installation.start_ready(), batch_of(installation, LONG_DAY)
    produce(kafka, installation.prefix, LONG_DAY)
    installation.until(lambda: installation.one("SELECT count(*) > 100 FROM results"), "some of it is stored")
    os.kill(worker.pids[place], signal.SIGKILL)
    assert worker.ended() == 70
    heir = installation.start_ready()
    installation.until_decided()
    assert_as_in_batch(installation, truth, heir)
    assert heir.leave() == 0


@pytest.mark.matrix("P5")
def test_pages_that_are_killed_take_nothing_with_them_and_come_back(kafka: Kafka, installation: Installation) -> None:
    worker, truth = installation.start_ready(), batch_of(installation, LONG_DAY)
    before = worker.pids
    produce(kafka, installation.prefix, LONG_DAY)
    installation.until(lambda: installation.one("SELECT count(*) > 100 FROM results"), "some of it is stored")
    os.kill(before[-1], signal.SIGKILL)
    installation.until_decided()
    until(worker.ready, "the pages answer again", READY_S)
    assert "the pages ended with exit code -9: restarting them" in worker.log
    assert worker.pids[: 1 + STAGES] == before[: 1 + STAGES]
    assert_as_in_batch(installation, truth, worker)
    assert worker.leave() == 0
    assert gone(worker)


@pytest.mark.parametrize("number", nightly_but(signal.SIGTERM, [signal.SIGTERM, signal.SIGINT]))
def test_a_worker_stops_in_order_when_all_its_processes_are_signalled(
    installation: Installation, number: signal.Signals
) -> None:
    worker = installation.start_ready()
    os.killpg(worker.pid, number)
    assert worker.ended() == 0
    assert gone(worker)


def test_a_worker_stops_in_order_when_one_of_its_processes_is_signalled(installation: Installation) -> None:
    worker = installation.start_ready()
    os.kill(worker.pids[2], signal.SIGTERM)
    assert worker.ended() == 0
    assert gone(worker)


@pytest.mark.parametrize("place", nightly_but(1, range(1, 1 + STAGES)))
def test_a_worker_whose_process_does_not_answer_is_neither_live_nor_scraped(
    installation: Installation, place: int
) -> None:
    worker = installation.start_ready()
    os.kill(worker.pids[place], signal.SIGSTOP)
    for path in ("/healthz/live", "/healthz/ready", "/metrics"):
        with pytest.raises(HTTPError) as answer:
            worker.get(path)
        with answer.value as said:
            assert said.code == 503
    os.kill(worker.pids[place], signal.SIGCONT)
    until(worker.ready, "it is ready again", READY_S)
    assert worker.metric("traderecon_build_info") == 1
    assert worker.leave() == 0


def test_a_worker_forks_before_it_has_threads_and_can_be_stopped_then(installation: Installation) -> None:
    installation.environment["TRADERECON_BROKER"] = installation.broker.replace("127.0.0.1", "localhost")
    worker = installation.start(program=[sys.executable, "-c", TOLD_AT_ONCE])
    assert worker.ended() in {0, 130}, worker.log
    assert "threads: 1\n" in worker.log
    until(lambda: gone(worker), "all are gone", GONE_S)


def test_a_worker_whose_parent_ignores_the_ends_of_children_knows_of_them(installation: Installation) -> None:
    worker = installation.start(program=["env", "--ignore-signal=CHLD", str(TRADERECON)])
    until(worker.ready, "it is ready", READY_S)
    os.kill(worker.pids[1], signal.SIGKILL)
    assert worker.ended() == 70


def test_a_worker_that_cannot_fork_reports_it(installation: Installation) -> None:
    worker = installation.start(program=[sys.executable, "-c", NO_PROCESS])
    assert worker.ended() == 70
    assert "no process could be started for intake: Resource temporarily unavailable" in worker.log
