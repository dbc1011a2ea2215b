"""A clock step while trades wait ends no grace; an operator may reset the watermark."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from broker.waiting import until
from log_surgery import cut
from pipeline.trades import execution
from pipeline_case import READY_S, Installation, Running

from traderecon.transport.log import Log

STEP_S = 3_600
TRADES = 5
SET_CLOCK = """
import time
from pathlib import Path
from traderecon import clock
from traderecon.cli import main

shift = Path({path!r})

def now_ns():
    return time.time_ns() + int(shift.read_text()) * 10**9

clock.now_ns = now_ns
main()
"""
"""A worker whose wall clock is shifted by the seconds in a file."""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose graces are longer than any test, and shorter than the clock step."""
    installation = Installation(tmp_path, grace_seconds=600)
    installation.create_topics()
    yield installation
    installation.close()


def set_clock(path: Path, shift_s: int) -> None:
    new_file = path.with_suffix(".new")
    new_file.write_text(str(shift_s))
    new_file.replace(path)


def start_with_waiting_trades(installation: Installation, path: Path) -> Running:
    """Start a worker with the right clock, and feed it trades that wait."""
    set_clock(path, 0)
    worker = installation.start(program=[sys.executable, "-c", SET_CLOCK.format(path=str(path))])
    until(worker.ready, "the worker is ready", READY_S)
    installation.append(installation.topics.executions, [execution(number) for number in range(TRADES)])
    installation.until(lambda: waiting_count(installation) == TRADES, "the trades wait")
    return worker


def waiting_count(installation: Installation) -> int:
    return int(installation.one("SELECT sum(json_extract(pending, '$.confirmation')) FROM standings") or 0)


def unmatched_count(installation: Installation) -> int:
    return int(installation.one("SELECT count(*) FROM result_history WHERE state = 'UNMATCHED'") or 0)


@pytest.mark.matrix("C5")
def test_a_clock_an_hour_ahead_ends_no_grace(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "shift"
    worker = start_with_waiting_trades(installation, path)
    set_clock(path, STEP_S)
    installation.until(lambda: worker.metric("traderecon_watermark_ahead_seconds") > STEP_S - 60, "the step is noticed")
    installation.until(lambda: worker.metric('traderecon_incidents_open{kind="clock_ahead"}') == 1, "and named")
    assert "the clock of this machine is 3,600 s ahead" in worker.get("/status").decode()
    late = [execution(number) for number in range(TRADES, 2 * TRADES)]
    installation.append(installation.topics.executions, late)
    installation.until(lambda: worker.metric("traderecon_messages_consumed_total") >= 2 * TRADES, "they are read")
    assert not unmatched_count(installation)
    set_clock(path, 0)
    installation.until(lambda: not worker.metric('traderecon_incidents_open{kind="clock_ahead"}'), "it is over")
    back_s = time.time()
    installation.until(lambda: installation.watermark_s() >= back_s, "time goes on at once")
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in range(2 * TRADES)])
    installation.until(
        lambda: installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") == 2 * TRADES, "all match"
    )
    assert not unmatched_count(installation)
    assert worker.leave() == 0


@pytest.mark.matrix("C6")
def test_an_operator_can_reset_the_watermark_forward_and_back(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "shift"
    worker = start_with_waiting_trades(installation, path)
    set_clock(path, STEP_S)
    installation.until(lambda: worker.metric('traderecon_incidents_open{kind="clock_ahead"}') == 1, "it is noticed")
    decision = reset(installation, time.time() + STEP_S)
    assert decision["epoch"] == 1
    installation.until(lambda: unmatched_count(installation) == TRADES, "by that decision the graces are over")
    assert not worker.metric('traderecon_incidents_open{kind="clock_ahead"}')
    set_clock(path, 0)
    installation.until(lambda: worker.metric('traderecon_incidents_open{kind="clock_behind"}') == 1, "it is behind")
    assert reset(installation, time.time())["epoch"] == 2
    installation.until(lambda: 0 < installation.watermark_s() < time.time() + 60, "time has gone back")
    before_s = installation.watermark_s()
    installation.until(lambda: installation.watermark_s() > before_s, "and goes on")
    installation.append(installation.topics.executions, [execution(100)])
    installation.until(lambda: waiting_count(installation) == 1, "a trade waits as it should")
    watermarks = json.loads(installation.run("watermark", "show", "--json").stdout)
    assert watermarks["epoch"] == 2
    assert {row["epoch"] for row in watermarks["reached"]} == {2}
    assert unmatched_count(installation) == TRADES
    assert worker.leave() == 0


@pytest.mark.matrix("C6")
def test_a_start_while_the_clock_is_wrong_ends_no_grace(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "shift"
    assert start_with_waiting_trades(installation, path).leave() == 0
    set_clock(path, STEP_S)
    worker = installation.start(program=[sys.executable, "-c", SET_CLOCK.format(path=str(path))])
    ahead = 'traderecon_incidents_open{kind="clock_ahead"}'
    installation.until(lambda: answers(worker) and worker.metric(ahead) == 1, "it is noticed")
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in range(TRADES)])
    assert not worker.ready()
    assert "Intake is paused until a clock is believed." in worker.log
    set_clock(path, 0)
    installation.until(
        lambda: installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") == TRADES, "all match"
    )
    assert not unmatched_count(installation)
    assert worker.leave() == 0


@pytest.mark.matrix("C6")
def test_a_stop_does_not_wait_for_a_believed_clock(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "shift"
    assert start_with_waiting_trades(installation, path).leave() == 0
    set_clock(path, STEP_S)
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in range(TRADES)])
    worker = installation.start(program=[sys.executable, "-c", SET_CLOCK.format(path=str(path))])
    installation.until(lambda: "Intake is paused until a clock is believed." in worker.log, "it is held")
    assert worker.leave() == 0
    assert "did not stop within" not in worker.log
    set_clock(path, 0)
    worker = installation.start(program=[sys.executable, "-c", SET_CLOCK.format(path=str(path))])
    installation.until(
        lambda: installation.one("SELECT count(*) FROM results WHERE state = 'MATCHED'") == TRADES, "all match"
    )
    assert not unmatched_count(installation)
    assert worker.leave() == 0


@pytest.mark.matrix("C6")
def test_a_decision_while_no_worker_runs_counts_at_the_next_start(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "shift"
    worker = start_with_waiting_trades(installation, path)
    set_clock(path, STEP_S)
    installation.until(lambda: worker.metric('traderecon_incidents_open{kind="clock_ahead"}') == 1, "it is noticed")
    assert worker.leave() == 0
    assert reset(installation, time.time() + STEP_S)["epoch"] == 1
    worker = installation.start(program=[sys.executable, "-c", SET_CLOCK.format(path=str(path))])
    installation.until(lambda: unmatched_count(installation) == TRADES, "by that decision the graces are over")
    assert not worker.metric('traderecon_incidents_open{kind="clock_ahead"}')
    assert worker.leave() == 0
    stored = json.loads(next(installation.data_dir.glob("worker-*/intake/clock.json")).read_bytes())
    assert stored["epoch"] == 1


@pytest.mark.matrix("C6")
def test_the_epoch_outlives_the_topic_of_decisions(installation: Installation, tmp_path: Path) -> None:
    worker = start_with_waiting_trades(installation, tmp_path / "shift")
    assert reset(installation, time.time())["epoch"] == 1
    installation.until(lambda: shown(installation)["epochs"] == {1}, "the journal has been told")
    assert worker.leave() == 0
    with Log.open(installation.data_dir / "log.db") as log:
        for partition in range(installation.partitions):
            cut(log, installation.topics.actions, partition, 0)
    before = shown(installation)
    assert before["epoch"] == 1
    # Matching and the sink refuse to go on: what they wrote and read there is gone.
    worker = installation.start("intake")
    installation.until(lambda: shown(installation)["at"] > before["at"], "time goes on")
    assert worker.alive()
    assert reset(installation, time.time())["epoch"] == 2
    installation.until(lambda: shown(installation)["epochs"] == {2}, "and it can be decided again")
    assert worker.leave() == 0


def shown(installation: Installation) -> dict[str, Any]:
    """What is shown: the epoch, those of the source partitions, and the earliest time of these."""
    found = json.loads(installation.run("watermark", "show", "--json").stdout)
    reached = found["reached"]
    return {
        "epoch": found["epoch"],
        "epochs": {one["epoch"] for one in reached},
        "at": min((one["at"] for one in reached), default=""),
    }


def answers(worker: Running) -> bool:
    with suppress(OSError):
        return bool(worker.get("/healthz/live"))
    return False


def reset(installation: Installation, at_s: float) -> dict[str, object]:
    """Decide that it is this time; the record of it."""
    at = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = installation.run("watermark", "reset", "--at", at, "--reason", "a test", "--by", "me", "--force", "--json")
    decided: dict[str, object] = json.loads(done.stdout)
    return decided


def test_waiting_trades_are_reported_while_log_time_stands_still(installation: Installation) -> None:
    """Whoever decides about a reset reads there how many trades it ends."""
    installation.start_ready()
    installation.until(lambda: installation.watermark_s() > 0, "there is a watermark")
    reset(installation, time.time() - 86_400)
    installation.until(lambda: installation.watermark_s() < time.time() - 3_600, "time has gone back")
    installation.append(installation.topics.executions, [execution(number) for number in range(TRADES)])
    installation.until(lambda: waiting_count(installation) == TRADES, "all of them are reported as waiting")
    installation.append(installation.topics.executions, [execution(number) for number in range(TRADES, 2 * TRADES)])
    installation.until(lambda: waiting_count(installation) == 2 * TRADES, "and the later ones")
