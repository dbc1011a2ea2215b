"""The whole pipeline under torture: two workers on a real Kafka, and lives that are killed on the embedded log."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torture.test_torture_run import torture

TESTS = Path(__file__).parents[1]
BOUND_S = 900

WHATEVER_HAPPENS = ("drop-a-record", "forget-deadlines", "commit-without-rows")
"""Bugs that bite in every run, one of each stage. The others: ``--bug NAME`` with more lives."""


def lives(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torture.pipeline_lives", *options],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_S,
    )


def test_two_workers_lose_nothing_get_nothing_wrong_and_double_nothing(tmp_path: Path) -> None:
    options = ("--workload", "pipeline", "--seed", "6", "--cycles", "5", "--broker-kills", "1", "--records", "1500")
    done, report = torture(tmp_path, *options, "--faults", "kill,stop,wipe,refuse,bounce")
    assert done.returncode == 0, done.stderr
    assert "| LOST 0 | WRONG 0 | DOUBLED 0 |" in report["line"]
    assert report["line"].endswith("| SAFE LIVE")
    assert sorted(fault["kind"] for fault in report["faults"] if fault["fired"]) == [
        "bounce",
        "kill",
        "refuse",
        "stop",
        "wipe",
    ]


def test_two_dozen_lives_leave_every_trade_decided() -> None:
    done = lives("--lives", "24", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 3 | 24 lives | 860 records | 0 WRONG")


@pytest.mark.parametrize("bug", WHATEVER_HAPPENS)
def test_a_bug_in_a_stage_is_found(bug: str) -> None:
    done = lives("--lives", "2", "--seed", "3", "--bug", bug)
    assert done.returncode == 1
    assert "LOST" in done.stderr or "WRONG" in done.stderr
