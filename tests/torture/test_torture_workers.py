"""Worker exits: when a worker is restarted, and which exit codes are allowed."""

import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import pytest
from broker.kafka_server import Kafka

from torture.faults import FaultInjector, FaultResources
from torture.group import Watch
from torture.homes import OwnHome
from torture.plan import Fault
from torture.readiness import Readiness
from torture.waiting import wait_until
from torture.workers import Worker
from torture.workload import Start

BOUND_S = 60


def watch_of(kafka: Kafka, unanswered_at_s: float = -inf) -> Watch:
    return Watch(kafka, "group", "topic", 1, unanswered_at_s=unanswered_at_s)


def run_worker(
    directory: Path, program: str, scenario: Callable[[Worker], Awaitable[None]], watch: Watch | None = None
) -> Worker:
    """Run a worker whose command is ``program`` until ``scenario`` is over."""
    watch = watch or watch_of(Kafka(directory / "kafka"))
    start = Start([sys.executable, "-c", program], {}, OwnHome("w1", directory / "disk"))
    worker = Worker("w1", start, directory / "w1.log", watch)

    async def run() -> None:
        keeper = asyncio.create_task(worker.keep())
        worker.go()
        try:
            await scenario(worker)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    asyncio.run(run())
    return worker


async def wait_for_two_exits(worker: Worker) -> None:
    await wait_until(lambda: len(worker.exits) >= 2, "it exited twice", BOUND_S)


@pytest.mark.parametrize(
    ("code", "broker_silent_at_s", "allowed"),
    [
        (70, -inf, True),
        (0, -inf, True),
        (1, -inf, False),
        (78, -inf, False),
        (4, -inf, False),
        (4, inf, True),
        (1, inf, False),
    ],
)
def test_a_worker_that_exits_by_itself_is_restarted_and_its_exit_code_judged(
    code: int, broker_silent_at_s: float, allowed: bool, tmp_path: Path
) -> None:
    worker = run_worker(
        tmp_path,
        f"raise SystemExit({code})",
        wait_for_two_exits,
        watch_of(Kafka(tmp_path / "kafka"), broker_silent_at_s),
    )
    assert [(exit_.code, exit_.requested, exit_.allowed) for exit_ in worker.exits[:2]] == [(code, False, allowed)] * 2


ENDS_WITH_ITS_BROKER = """
import socket
with socket.create_connection(({host!r}, {port})) as broker:
    print("connected", flush=True)
    broker.recv(1)
raise SystemExit(4)
"""


def test_exit_code_4_is_allowed_right_after_the_broker_is_killed(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path / "kafka")
    watch = watch_of(kafka)  # never polled
    host, port = kafka.address.rsplit(":", 1)
    with ThreadPoolExecutor(1) as jvm:
        jvm.submit(kafka.start).result()

        async def bounce_broker(worker: Worker) -> None:
            await wait_until(lambda: worker.log.exists() and "connected" in worker.log.read_text(), "it runs", BOUND_S)
            injector = FaultInjector(kafka, watch, {}, {}, FaultResources(jvm, None, None, {}, None, lambda: 0))
            await injector.inject(Fault(0.0, "bounce", "broker", 0.1))

        worker = run_worker(tmp_path, ENDS_WITH_ITS_BROKER.format(host=host, port=port), bounce_broker, watch)
        jvm.submit(kafka.stop).result()
    assert (worker.exits[0].code, worker.exits[0].requested, worker.exits[0].allowed) == (4, False, True)


def test_an_exit_reports_the_uptime_and_the_last_line_of_the_log(tmp_path: Path) -> None:
    worker = run_worker(tmp_path, "print('one'); print('no answer'); print(); raise SystemExit(4)", wait_for_two_exits)
    lines = [re.sub(r"[0-9.]+ s", "N s", exit_.line) for exit_ in worker.exits[:2]]
    assert lines == ["exit code 4 after N s: no answer"] * 2


def test_an_exit_that_leaves_a_child_process_behind_is_not_allowed(tmp_path: Path) -> None:
    async def wait_for_exit(worker: Worker) -> None:
        await wait_until(lambda: bool(worker.exits), "it exited", BOUND_S)

    worker = run_worker(tmp_path, "import os, time; os.fork() or time.sleep(600)", wait_for_exit)
    assert [(exit_.code, exit_.allowed) for exit_ in worker.exits[:1]] == [(0, False)]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_was_stopped_stays_down_until_it_may_run(signal_number: signal.Signals, tmp_path: Path) -> None:
    program = "import time; print('started', flush=True); time.sleep(600)"
    codes = []

    async def end_and_go(worker: Worker) -> None:
        for _ in range(2):
            worker.log.unlink(missing_ok=True)
            worker.go()
            await wait_until(lambda: worker.log.exists() and "started" in worker.log.read_text(), "it runs", BOUND_S)
            codes.append(await worker.end(signal_number))
            assert not worker.running

    worker = run_worker(tmp_path, program, end_and_go)
    assert codes == [-signal_number, -signal_number]
    assert [(exit_.code, exit_.requested, exit_.allowed) for exit_ in worker.exits] == [
        (-signal_number, True, True)
    ] * 2


def test_the_time_to_readiness_is_recorded_for_each_start(tmp_path: Path) -> None:
    readinesses = []

    async def run_twice(worker: Worker) -> None:
        readiness = Readiness(
            [worker], lambda started_worker: "ready" in started_worker.log.read_text()[started_worker.log_start :]
        )
        readinesses.append(readiness)
        task = asyncio.create_task(readiness.keep_polling())
        for starts in (1, 2):
            await wait_until(lambda starts=starts: len(readiness.took_s) == starts, "it was ready", BOUND_S)  # type: ignore[misc]
            await worker.end(signal.SIGKILL)
            worker.go()
        task.cancel()

    run_worker(tmp_path, "import time; time.sleep(0.3); print('ready', flush=True); time.sleep(600)", run_twice)
    assert all(took_s > 0.3 for took_s in readinesses[0].took_s)


def test_a_frozen_worker_is_killed_at_the_end_of_the_run(tmp_path: Path) -> None:
    async def stop(worker: Worker) -> None:
        await wait_until(lambda: worker.running, "it runs", BOUND_S)
        worker.send(signal.SIGSTOP)

    worker = run_worker(tmp_path, "import time; time.sleep(600)", stop)
    assert not worker.running
