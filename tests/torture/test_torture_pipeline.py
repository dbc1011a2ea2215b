"""The whole pipeline under torture: two workers on a real Kafka, and workers killed on the embedded log."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import program
from tiers import nightly_but

from torture.options import kinds_of
from torture.pipeline_bugs import BUGS, OF_INVARIANTS
from torture.test_torture_run import torture

KINDS = ("kill", "stop", "wipe", "refuse", "bounce", "proxy", "disk", "clock", "slow-db")
ONLY_HERE = (("proxy", "disk"), 600)
"""Kinds of faults that no other test has, and the number of records."""


@pytest.mark.matrix("K1", "K10", "Z1", "B2", "B6", "B7", "S1", "S5", "S6", "C1")
@pytest.mark.parametrize(("faults", "records"), nightly_but(ONLY_HERE, [ONLY_HERE, (KINDS, 1500)]))
def test_two_workers_under_faults_lose_nothing_and_duplicate_nothing(
    tmp_path: Path, faults: tuple[str, ...], records: int
) -> None:
    kinds = [kind for kind in faults if kind in kinds_of(None, ())]  # without root there is no full disk
    options = ["--workload", "pipeline", "--seed", "6", "--cycles", str(len(kinds))]
    options += ["--broker-kills", "1" if "kill" in kinds else "0"]
    completed, report = torture(tmp_path, *options, "--records", str(records), "--faults", ",".join(kinds))
    assert completed.returncode == 0, completed.stderr
    assert "| LOST 0 | WRONG 0 | DOUBLED 0 |" in report["line"]
    assert report["line"].endswith("| SAFE LIVE")
    assert sorted(fault["kind"] for fault in report["faults"] if fault["fired"]) == sorted(kinds)
    assert report["trades"] > records / 3


@pytest.mark.matrix("K1")
@pytest.mark.parametrize(("lives", "records"), nightly_but((6, 320), [(6, 320), (24, 860)]))
def test_killed_workers_leave_every_trade_decided(lives: int, records: int) -> None:
    completed = program("torture.pipeline_lives", "--lives", str(lives), "--seed", "3")
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith(f"seed 3 | {lives} lives | {records} records | 0 WRONG")


@pytest.mark.parametrize(
    ("invariant", "bug"),
    nightly_but(("I1", OF_INVARIANTS["I1"]), [pair for pair in OF_INVARIANTS.items() if pair[0] != "I13"]),
)
def test_the_bug_of_an_invariant_is_found_by_that_invariant(invariant: str, bug: str) -> None:
    completed = program("torture.pipeline_lives", "--lives", "0", "--seed", "3", "--bug", bug)
    assert completed.returncode == 1
    found = [line for line in completed.stderr.splitlines() if line.startswith(f"{invariant} ")]
    assert found, completed.stderr


def digests_of(*runs: str) -> list[str]:
    with ThreadPoolExecutor() as pool:
        completed = pool.map(lambda options: program("torture.pipeline_lives", "--seed", "4", *options.split()), runs)
        return [re.findall(r"digest ([0-9a-f]{12})", run.stdout)[0] for run in completed]


@pytest.mark.nightly
def test_i13_results_do_not_depend_on_when_workers_die() -> None:
    one, other = digests_of("--lives 2 --death-seed 1", "--lives 2 --death-seed 2")
    assert one == other
    one, other = digests_of(*[f"--lives 0 --bug {OF_INVARIANTS['I13']}"] * 2)
    assert one != other


def test_every_invariant_has_a_bug() -> None:
    assert list(OF_INVARIANTS) == [f"I{number}" for number in range(1, 14)]
    assert set(OF_INVARIANTS.values()) <= set(BUGS)
