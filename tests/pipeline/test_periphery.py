"""What stands around a worker and may go wrong: who reads its log, who asks for its pages, how much memory it gets."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from broker.waiting import until
from pipeline_case import TRADERECON, Installation
from pipeline_truth import Day, assert_as_in_batch, assert_history_holds, batch_of

DAY = Day(trades=1_500)
IDLE = 200
FILES = 400
ASKED = 400
END_S = 180
LARGE_BYTES = 60_000
LARGE = 400
ROOM_BYTES = 8 * 1_048_576
TERMS = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
SERIES = re.compile(r"^traderecon_[a-z_]+(?:\{[^}]*\})?(?= )", re.MULTILINE)


def leg(trade_id: str, **terms: object) -> bytes:
    return json.dumps({"trade_id": trade_id, **TERMS, **terms}).encode()


def breaks(installation: Installation, trades: int) -> None:
    """Send trades that break, each with a line in the log."""
    installation.append("executions", [leg(f"T{number}") for number in range(trades)])
    installation.append("broker_confirmations", [leg(f"T{number}", price="7") for number in range(trades)])


@pytest.mark.matrix("P7")
def test_a_worker_continues_while_nobody_reads_its_stderr(installation: Installation) -> None:
    with subprocess.Popen(
        [str(TRADERECON), "worker"],
        cwd=installation.directory,
        env=installation.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            assert worker.stderr is not None
            assert any("TradeRecon is at" in line for line in worker.stderr)
            worker.stderr.close()
            breaks(installation, 50)
            broken = "SELECT count(*) FROM results WHERE state = 'MISMATCHED'"
            until(lambda: installation.one(broken) == 50, "all are broken", END_S)
            assert worker.poll() is None
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(END_S)
    assert_history_holds(installation)


@pytest.mark.matrix("P8")
def test_a_worker_out_of_memory_ends_and_the_next_continues(installation: Installation) -> None:
    worker = installation.start_ready()
    installation.append("executions", [leg("T0")])
    installation.append("broker_confirmations", [leg("T0")])
    installation.until(lambda: installation.one("SELECT count(*) FROM results"), "it works")
    room = size_bytes(worker.pid) + ROOM_BYTES
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (room, room))
    padding = "x" * LARGE_BYTES
    for topic in ("executions", "broker_confirmations"):
        installation.append(topic, [leg(f"L{number}", padding=padding) for number in range(LARGE)])
    assert worker.ended() != 0
    installation.start_ready()
    installation.until_decided()
    assert installation.rows("SELECT state, count(*) FROM results GROUP BY state") == [("MATCHED", LARGE + 1)]
    assert_history_holds(installation)


def size_bytes(pid: int) -> int:
    """The address space a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.matrix("P4")
def test_sent_values_create_no_metric_series(installation: Installation) -> None:
    worker = installation.start_ready()
    series = []
    for first in (0, 300):
        strange = [
            leg(f"S{number}", ticker=f"X{number}", account=f"A{number}", kind="amend")
            for number in range(first, first + 300)
        ]
        for topic in ("executions", "broker_confirmations"):
            installation.append(topic, strange)
        installation.append("executions", [b'{"Z%d": NaN}' % number for number in range(first, first + 300)])
        installation.append("executions", [leg(f"B{first + number}") for number in range(9)])
        installation.append("broker_confirmations", [leg(f"B{first + number}", price="7") for number in range(9)])
        installation.until_decided()
        found = SERIES.findall(worker.get("/metrics").decode())
        series.append({one for one in found if "partition=" not in one})  # lag is told a little later
    assert series[1] == series[0]
    assert not re.search(r"[XASZB]\d\d", "".join(series[1]))


@pytest.mark.matrix("P3", "P5")
def test_abusive_clients_do_not_block_others(
    installation: Installation,
) -> None:
    worker = installation.start_ready()
    with idle(worker.port, IDLE), ThreadPoolExecutor(4) as readers:
        asked = [readers.submit(worker.get, "/metrics") for _ in range(ASKED)]
        with socket.create_connection(("127.0.0.1", worker.port), END_S) as greedy:
            greedy.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n")
            assert b" 400 " in greedy.recv(100)
        installation.run("simulate", *DAY.arguments)
        installation.until_decided()
        assert all(b"traderecon_build_info" in one.result() for one in asked)
        assert json.loads(worker.get("/healthz/ready"))["ready"]
    assert_as_in_batch(installation, batch_of(installation, DAY), worker)


@pytest.mark.matrix("P5", "S11")
def test_more_half_open_connections_than_it_may_open_files_end_no_worker(installation: Installation) -> None:
    worker = installation.start(program=["prlimit", f"--nofile={FILES}:{FILES}", str(TRADERECON)])
    until(worker.ready, "it is ready", 5 * END_S)
    with idle(worker.port, FILES + FILES // 2):
        installation.run("simulate", *DAY.arguments)
        installation.until_decided()
        assert json.loads(worker.get("/healthz/ready"))["ready"]
    assert_as_in_batch(installation, batch_of(installation, DAY), worker)
    assert worker.leave() == 0


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """So many connections that have begun to ask, and never say what for."""
    with ExitStack() as held:
        for _ in range(count):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), END_S))
            one.sendall(b"GET / HTTP/1.1\r\nHost:")
        yield
