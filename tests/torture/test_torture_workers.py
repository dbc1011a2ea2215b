"""Workers end in many ways: who is started again, and which exit codes are allowed."""

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

from torture.faults import Deeds, Means
from torture.group import Watch
from torture.homes import OwnHome
from torture.plan import Fault
from torture.readiness import Readiness
from torture.seen import seen
from torture.workers import Worker
from torture.workload import Start

BOUND_S = 60


def watching(kafka: Kafka, silent_at_s: float = -inf) -> Watch:
    return Watch(kafka, "group", "topic", 1, silent_at_s=silent_at_s)


def lived(
    directory: Path, program: str, live: Callable[[Worker], Awaitable[None]], watch: Watch | None = None
) -> Worker:
    """A worker whose command is a program of ours, after ``live`` had its way with it."""
    watch = watch or watching(Kafka(directory / "kafka"))
    how = Start([sys.executable, "-c", program], {}, OwnHome("w1", directory / "disk"))
    worker = Worker("w1", how, directory / "w1.log", watch)

    async def keep() -> None:
        keeping = asyncio.create_task(worker.keep())
        worker.go()
        try:
            await live(worker)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(keep())
    return worker


async def ended_twice(worker: Worker) -> None:
    await seen(lambda: len(worker.exits) >= 2, "two lives ended", BOUND_S)


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
def test_who_ends_unasked_is_started_again_and_its_exit_judged(
    code: int, broker_silent_at_s: float, allowed: bool, tmp_path: Path
) -> None:
    worker = lived(
        tmp_path, f"raise SystemExit({code})", ended_twice, watching(Kafka(tmp_path / "kafka"), broker_silent_at_s)
    )
    assert [(end.code, end.asked, end.allowed) for end in worker.exits[:2]] == [(code, False, allowed)] * 2


ENDS_WITH_ITS_BROKER = """
import socket
with socket.create_connection(({host!r}, {port})) as broker:
    print("connected", flush=True)
    broker.recv(1)
raise SystemExit(4)
"""


def test_who_ends_with_4_as_soon_as_its_broker_is_killed_is_allowed_to(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path / "kafka")
    watch = watching(kafka)  # it never looks
    host, port = kafka.address.rsplit(":", 1)
    with ThreadPoolExecutor(1) as jvm:
        jvm.submit(kafka.start).result()

        async def bounced(worker: Worker) -> None:
            await seen(lambda: worker.log.exists() and "connected" in worker.log.read_text(), "it runs", BOUND_S)
            deeds = Deeds(kafka, watch, {}, {}, Means(jvm, None, None, {}, None, lambda: 0))
            await deeds.do(Fault(0.0, "bounce", "broker", 0.1))

        worker = lived(tmp_path, ENDS_WITH_ITS_BROKER.format(host=host, port=port), bounced, watch)
        jvm.submit(kafka.stop).result()
    assert (worker.exits[0].code, worker.exits[0].asked, worker.exits[0].allowed) == (4, False, True)


def test_an_end_tells_after_how_long_it_came_and_the_last_words(tmp_path: Path) -> None:
    worker = lived(tmp_path, "print('one'); print('no answer'); print(); raise SystemExit(4)", ended_twice)
    found = [re.sub(r"[0-9.]+ s", "N s", end.line) for end in worker.exits[:2]]
    assert found == ["exit code 4 after N s: no answer"] * 2


def test_who_leaves_a_process_behind_is_not_allowed_to(tmp_path: Path) -> None:
    async def ended(worker: Worker) -> None:
        await seen(lambda: bool(worker.exits), "a life ended", BOUND_S)

    worker = lived(tmp_path, "import os, time; os.fork() or time.sleep(600)", ended)
    assert [(end.code, end.allowed) for end in worker.exits[:1]] == [(0, False)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_asked_to_end_stays_down_until_it_may_go(number: signal.Signals, tmp_path: Path) -> None:
    started = "import time; print('started', flush=True); time.sleep(600)"
    codes = []

    async def end_and_go(worker: Worker) -> None:
        for _ in range(2):
            worker.log.unlink(missing_ok=True)
            worker.go()
            await seen(lambda: worker.log.exists() and "started" in worker.log.read_text(), "it runs", BOUND_S)
            codes.append(await worker.end(number))
            assert not worker.running

    worker = lived(tmp_path, started, end_and_go)
    assert codes == [-number, -number]
    assert [(end.code, end.asked, end.allowed) for end in worker.exits] == [(-number, True, True)] * 2


def test_every_life_tells_how_long_it_took_to_be_ready(tmp_path: Path) -> None:
    looking = []

    async def live_twice(worker: Worker) -> None:
        readiness = Readiness([worker], lambda life: "ready" in life.log.read_text()[life.born_at :])
        looking.append(readiness)
        task = asyncio.create_task(readiness.keep_looking())
        for lives in (1, 2):
            await seen(lambda lives=lives: len(readiness.took_s) == lives, "it was ready", BOUND_S)  # type: ignore[misc]
            await worker.end(signal.SIGKILL)
            worker.go()
        task.cancel()

    lived(tmp_path, "import time; time.sleep(0.3); print('ready', flush=True); time.sleep(600)", live_twice)
    assert all(took_s > 0.3 for took_s in looking[0].took_s)


def test_a_stopped_worker_is_still_killed_when_the_run_is_over(tmp_path: Path) -> None:
    async def stop(worker: Worker) -> None:
        await seen(lambda: worker.running, "it runs", BOUND_S)
        worker.send(signal.SIGSTOP)

    worker = lived(tmp_path, "import time; time.sleep(600)", stop)
    assert not worker.running
