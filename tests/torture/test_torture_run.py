"""Short runs on a real Kafka: our transport survives every kind of fault, plain Faust does not."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from programs import program


def torture(directory: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the harness from the command line; returns the finished process and its report."""
    completed = program("torture", "--directory", str(directory), *options)
    report = directory / "report.json"
    assert report.exists(), completed.stderr
    return completed, json.loads(report.read_text())


@pytest.mark.nightly
@pytest.mark.matrix("K1", "Z1", "Z2", "Z7", "B2", "B5", "B7")
def test_our_transport_is_safe_and_live_under_every_kind_of_fault(tmp_path: Path) -> None:
    kinds = ["bounce", "join", "kill", "leave", "quota", "refuse", "stop", "wipe"]
    options = ("--seed", "5", "--cycles", "8", "--broker-kills", "1", "--records", "2000")
    completed, report = torture(tmp_path, *options, "--faults", ",".join(kinds))
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == report["line"] + "\n"
    assert report["line"].endswith("| SAFE LIVE")
    assert sorted(fault["kind"] for fault in report["faults"] if fault["fired"]) == kinds
    assert report["exits"]["-9"] == 2
    assert report["exits"]["70"] >= 1


@pytest.mark.nightly
def test_plain_faust_loses_records_the_broker_refuses_and_the_harness_finds_it(tmp_path: Path) -> None:
    options = ("--workload", "stock", "--seed", "5", "--cycles", "1", "--broker-kills", "0", "--faults", "refuse")
    completed, report = torture(tmp_path, *options, "--records", "600")
    assert completed.returncode == 1, completed.stderr
    assert report["faults"][0]["target"] == "out"
    assert report["defects"]["LOST"] > 0
    assert not report["safe"]
    assert "fault refuse out never fired" in report["line"]
    assert (tmp_path / "topics.jsonl").stat().st_size > 0
    assert "LOST" in completed.stderr
