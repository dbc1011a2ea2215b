"""The demo: everything with one command; it ends when all is decided, and goes on where it was, however it ended."""

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tiers import nightly_but

ROOT = Path(__file__).parents[2]
TRADERECON = [sys.executable, "-m", "traderecon"]
BOUND_S = 120
"""What takes seconds may take this long on a busy machine."""


def demo(directory: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*TRADERECON, "demo", "--data-dir", str(directory), *options], stderr=subprocess.PIPE, text=True
    )


def finished(directory: Path, *options: str) -> str:
    running = demo(directory, *options)
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, said
    return said


@contextmanager
def database(directory: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{directory / 'traderecon.db'}?mode=ro", uri=True)) as db:
        yield db


def stored(directory: Path) -> dict[str, tuple[str, str]]:
    with database(directory) as db:
        rows = db.execute("SELECT trade_id, state, reasons FROM results")
        return {trade: (state, ";".join(json.loads(reasons))) for trade, state, reasons in rows}


def nothing_doubled(directory: Path) -> None:
    with database(directory) as db:
        twice = db.execute("SELECT event_id FROM result_history GROUP BY event_id HAVING count(*) > 1").fetchall()
        assert twice == []


def reconciled(trades: int, folder: Path) -> dict[str, tuple[str, str]]:
    """What the batch says of the same day."""
    simulate = [*TRADERECON, "simulate", "--trades", str(trades), "--seed", "7", "--csv", str(folder)]
    subprocess.run(simulate, check=True, capture_output=True)
    files = {"executions": "executions", "confirmations": "broker_confirmations", "pnl": "pnl_snapshot"}
    named = [word for option, name in files.items() for word in (f"--{option}", str(folder / f"{name}.csv"))]
    done = subprocess.run([*TRADERECON, "reconcile", *named], check=True, capture_output=True, text=True, cwd=folder)
    return {row["trade_id"]: (row["state"], row["reasons"]) for row in csv.DictReader(done.stdout.splitlines())}


def url_of(running: "subprocess.Popen[str]", before: list[str] | None = None) -> str:
    """Where the pages are; ``before`` gets the lines until then."""
    assert running.stderr is not None
    for line in running.stderr:
        if before is not None:
            before.append(line)
        if found := re.search(r"TradeRecon is at (\S+)/ ", line):
            return found[1]
    raise AssertionError("the demo ended without a word about its pages")


def status(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/api/reconciliation_status", timeout=BOUND_S) as answer:
        told: dict[str, int] = json.load(answer)
        return told


def until(url: str, trades: int) -> dict[str, int]:
    """The counts by state as soon as so many trades have a verdict."""
    deadline = time.monotonic() + BOUND_S
    while time.monotonic() < deadline:
        counts = status(url)
        if sum(counts.values()) - counts["PENDING"] >= trades:
            return counts
        time.sleep(0.1)
    raise AssertionError(f"{trades} trades were not decided: {status(url)}")


def test_a_finished_day_equals_the_batch(tmp_path: Path) -> None:
    said = finished(tmp_path / "demo", "--trades", "2000", "--seed", "7")
    assert "1,932 matched, 47 mismatched, 21 unmatched" in said
    assert stored(tmp_path / "demo") == reconciled(2000, tmp_path)
    nothing_doubled(tmp_path / "demo")


def test_trades_are_counted_over_restarts(tmp_path: Path) -> None:
    finished(tmp_path / "demo", "--trades", "150")
    assert len(stored(tmp_path / "demo")) == 150
    finished(tmp_path / "demo", "--trades", "400")
    assert stored(tmp_path / "demo") == reconciled(400, tmp_path)
    finished(tmp_path / "demo", "--trades", "400")
    nothing_doubled(tmp_path / "demo")


@pytest.mark.matrix("K1")
def test_killed_and_started_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    for decided in (200, 600):
        running = demo(tmp_path / "demo", "--rate", "300")
        until(url_of(running), decided)
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=BOUND_S)
    finished(tmp_path / "demo", "--trades", "2500")
    expected = reconciled(2500, tmp_path)
    found = stored(tmp_path / "demo")
    assert {trade: found.get(trade) for trade in expected} == expected
    nothing_doubled(tmp_path / "demo")


@pytest.mark.parametrize("number", nightly_but(signal.SIGKILL, [signal.SIGKILL, signal.SIGINT]))
def test_a_worker_that_somebody_ends_is_started_again(number: signal.Signals, tmp_path: Path) -> None:
    running = demo(tmp_path / "demo", "--trades", "2000", "--rate", "400")
    until(url_of(running), 100)
    os.kill(int((tmp_path / "demo" / "worker.lock").read_text()), number)
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, said
    assert "restarting it" in said
    assert stored(tmp_path / "demo") == reconciled(2000, tmp_path)


@pytest.mark.matrix("K13")
def test_an_interrupted_demo_stops_in_order_and_continues(tmp_path: Path) -> None:
    running = demo(tmp_path / "demo")
    counts = until(url_of(running), 900)
    assert counts["MATCHED"] > 800
    assert counts["MISMATCHED"] > 5
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, said
    before = stored(tmp_path / "demo")
    running = demo(tmp_path / "demo", "--duration", "8")
    assert sum(status(url_of(running)).values()) >= len(before)
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, said
    assert len(stored(tmp_path / "demo")) > len(before)


def test_a_day_that_was_cut_off_is_finished_before_its_time_is_put_ahead(tmp_path: Path) -> None:
    finished(tmp_path / "demo", "--duration", "6")
    finished(tmp_path / "demo", "--duration", "4", "--rate", "3", "--seed", "8")
    finished(tmp_path / "demo", "--trades", "200")
    found = stored(tmp_path / "demo")
    begun = max(int(trade.removeprefix("S7-")) for trade in found if trade.startswith("S7-")) + 1
    expected = reconciled(begun, tmp_path)
    assert {trade: result for trade, result in found.items() if trade.startswith("S7-")} == expected
    unmatched = sum(state == "UNMATCHED" for state, _ in found.values())
    assert unmatched < len(found) / 50, "no more than the seven per mille that the simulator leaves without a side"


def test_the_trades_of_a_demo_are_of_today(tmp_path: Path) -> None:
    finished(tmp_path / "demo", "--trades", "5")
    with database(tmp_path / "demo") as db:
        rows = db.execute("SELECT event_time, decided_at FROM results").fetchall()
    for event_time, decided_at in rows:
        age = datetime.fromisoformat(decided_at) - datetime.fromisoformat(event_time)
        assert abs(age) < timedelta(minutes=10)


def test_a_second_demo_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first = demo(tmp_path / "demo", "--rate", "1")
    url_of(first)
    second = demo(tmp_path / "demo")
    _, said = second.communicate(timeout=BOUND_S)
    first.terminate()
    _, ended = first.communicate(timeout=BOUND_S)
    assert ended.endswith("stopped; the next start continues from here\n")
    assert second.returncode == 78
    assert "a worker is already running on this directory, process" in said


def test_simulated_trades_are_not_mixed_with_real_ones(tmp_path: Path) -> None:
    """Neither by a demo in the data directory of real work, nor by a worker in that of a demo without a word."""
    file = tmp_path / "pnl_snapshot.csv"
    file.write_text("trade_id,pnl_impact,commission\nT1,1,2\n")
    settings = os.environ | {"TRADERECON_DATA_DIR": str(tmp_path / "real")}
    subprocess.run([*TRADERECON, "ingest", str(file)], check=True, capture_output=True, env=settings)
    refused = demo(tmp_path / "real", "--trades", "5")
    _, said = refused.communicate(timeout=BOUND_S)
    assert refused.returncode == 78
    assert "pnl_snapshot has messages that were not sent by a demo" in said
    finished(tmp_path / "demo", "--trades", "5")
    settings["TRADERECON_DATA_DIR"] = str(tmp_path / "demo")
    worker = subprocess.Popen([*TRADERECON, "worker"], stderr=subprocess.PIPE, text=True, env=settings)
    before: list[str] = []
    url_of(worker, before)
    worker.terminate()
    worker.communicate(timeout=BOUND_S)
    assert "has simulated trades of `traderecon demo`" in "".join(before)


def test_a_directory_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    running = demo(tmp_path / "file" / "demo")
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 78
    assert "cannot be used as the data directory" in said


def test_a_broker_and_a_database_of_others_are_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", "kafka://localhost:1")
    monkeypatch.setenv("TRADERECON_DATABASE_URL", f"sqlite:///{tmp_path}/production.db")
    said = finished(tmp_path / "demo", "--trades", "5")
    assert "TRADERECON_BROKER is ignored" in said
    assert len(stored(tmp_path / "demo")) == 5
    assert not (tmp_path / "production.db").exists()


@pytest.mark.parametrize(("options", "code"), [(("--trades", "0"), 2), (("--seed", "x"), 2)])
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: tuple[str, ...], code: int) -> None:
    running = demo(tmp_path, *options)
    running.communicate(timeout=BOUND_S)
    assert running.returncode == code
