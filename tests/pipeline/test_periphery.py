"""The environment of a worker: its stderr is closed, its clients are abusive, its memory is limited."""

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
IDLE_CONNECTIONS = 200
MAX_FILES = 400
REQUESTS = 400
TIMEOUT_S = 180
LARGE_BYTES = 60_000
LARGE_LEGS = 400
SPARE_BYTES = 8 * 1_048_576
TERMS = {"ticker": "AAPL", "quantity": 100, "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}
SERIES = re.compile(r"^traderecon_[a-z_]+(?:\{[^}]*\})?(?= )", re.MULTILINE)


def leg(trade_id: str, **terms: object) -> bytes:
    return json.dumps({"trade_id": trade_id, **TERMS, **terms}).encode()


def send_breaks(installation: Installation, trades: int) -> None:
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
            send_breaks(installation, 50)
            mismatched = "SELECT count(*) FROM results WHERE state = 'MISMATCHED'"
            until(lambda: installation.one(mismatched) == 50, "all are broken", TIMEOUT_S)
            assert worker.poll() is None
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(TIMEOUT_S)
    assert_history_holds(installation)


@pytest.mark.matrix("P8")
def test_a_worker_out_of_memory_ends_and_the_next_continues(installation: Installation) -> None:
    worker = installation.start_ready()
    installation.append("executions", [leg("T0")])
    installation.append("broker_confirmations", [leg("T0")])
    installation.until(lambda: installation.one("SELECT count(*) FROM results"), "it works")
    limit = address_space_bytes(worker.pid) + SPARE_BYTES
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, limit))
    padding = "x" * LARGE_BYTES
    for topic in ("executions", "broker_confirmations"):
        installation.append(topic, [leg(f"L{number}", padding=padding) for number in range(LARGE_LEGS)])
    assert worker.ended() != 0
    installation.start_ready()
    installation.until_decided()
    assert installation.rows("SELECT state, count(*) FROM results GROUP BY state") == [("MATCHED", LARGE_LEGS + 1)]
    assert_history_holds(installation)


def address_space_bytes(pid: int) -> int:
    """The address space a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.matrix("P4")
def test_sent_values_create_no_metric_series(installation: Installation) -> None:
    worker = installation.start_ready()
    series = []
    for first in (0, 300):
        legs = [
            leg(f"S{number}", ticker=f"X{number}", account=f"A{number}", kind="amend")
            for number in range(first, first + 300)
        ]
        for topic in ("executions", "broker_confirmations"):
            installation.append(topic, legs)
        installation.append("executions", [b'{"Z%d": NaN}' % number for number in range(first, first + 300)])
        installation.append("executions", [leg(f"B{first + number}") for number in range(9)])
        installation.append("broker_confirmations", [leg(f"B{first + number}", price="7") for number in range(9)])
        installation.until_decided()
        names = SERIES.findall(worker.get("/metrics").decode())
        series.append({name for name in names if "partition=" not in name})  # lag is reported a little later
    assert series[1] == series[0]
    assert not re.search(r"[XASZB]\d\d", "".join(series[1]))


@pytest.mark.matrix("P3", "P5")
def test_abusive_clients_do_not_block_others(
    installation: Installation,
) -> None:
    worker = installation.start_ready()
    with idle(worker.port, IDLE_CONNECTIONS), ThreadPoolExecutor(4) as readers:
        requests = [readers.submit(worker.get, "/metrics") for _ in range(REQUESTS)]
        with socket.create_connection(("127.0.0.1", worker.port), TIMEOUT_S) as greedy:
            greedy.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n")
            assert b" 400 " in greedy.recv(100)
        installation.run("simulate", *DAY.arguments)
        installation.until_decided()
        assert all(b"traderecon_build_info" in request.result() for request in requests)
        assert json.loads(worker.get("/healthz/ready"))["ready"]
    assert_as_in_batch(installation, batch_of(installation, DAY), worker)


@pytest.mark.matrix("P5", "S11")
def test_more_connections_than_the_limit_of_open_files_do_not_stop_a_worker(installation: Installation) -> None:
    worker = installation.start(program=["prlimit", f"--nofile={MAX_FILES}:{MAX_FILES}", str(TRADERECON)])
    until(worker.ready, "it is ready", 5 * TIMEOUT_S)
    with idle(worker.port, MAX_FILES + MAX_FILES // 2):
        installation.run("simulate", *DAY.arguments)
        installation.until_decided()
        assert json.loads(worker.get("/healthz/ready"))["ready"]
    assert_as_in_batch(installation, batch_of(installation, DAY), worker)
    assert worker.leave() == 0


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """Hold ``count`` connections open that never finish their request."""
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_S))
            connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        yield
