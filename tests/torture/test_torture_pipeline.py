"""The whole pipeline under torture: two workers on a real Kafka, and lives that are killed on the embedded log."""

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
NOWHERE_ELSE = (("proxy", "disk"), 600)
"""Kinds that no other test has, and how many records."""


@pytest.mark.matrix("K1", "K10", "Z1", "B2", "B6", "B7", "S1", "S5", "S6", "C1")
@pytest.mark.parametrize(("faults", "records"), nightly_but(NOWHERE_ELSE, [NOWHERE_ELSE, (KINDS, 1500)]))
def test_two_workers_lose_nothing_get_nothing_wrong_and_double_nothing(
    tmp_path: Path, faults: tuple[str, ...], records: int
) -> None:
    kinds = [kind for kind in faults if kind in kinds_of(None, ())]  # without root there is no full disk
    options = ["--workload", "pipeline", "--seed", "6", "--cycles", str(len(kinds))]
    options += ["--broker-kills", "1" if "kill" in kinds else "0"]
    done, report = torture(tmp_path, *options, "--records", str(records), "--faults", ",".join(kinds))
    assert done.returncode == 0, done.stderr
    assert "| LOST 0 | WRONG 0 | DOUBLED 0 |" in report["line"]
    assert report["line"].endswith("| SAFE LIVE")
    assert sorted(fault["kind"] for fault in report["faults"] if fault["fired"]) == sorted(kinds)
    assert report["trades"] > records / 3


@pytest.mark.matrix("K1")
@pytest.mark.parametrize(("lives", "records"), nightly_but((6, 320), [(6, 320), (24, 860)]))
def test_lives_leave_every_trade_decided(lives: int, records: int) -> None:
    done = program("torture.pipeline_lives", "--lives", str(lives), "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"seed 3 | {lives} lives | {records} records | 0 WRONG")


@pytest.mark.parametrize(
    ("invariant", "bug"),
    nightly_but(("I1", OF_INVARIANTS["I1"]), [pair for pair in OF_INVARIANTS.items() if pair[0] != "I13"]),
)
def test_a_bug_that_breaks_an_invariant_is_found_by_it(invariant: str, bug: str) -> None:
    done = program("torture.pipeline_lives", "--lives", "0", "--seed", "3", "--bug", bug)
    assert done.returncode == 1
    found = [line for line in done.stderr.splitlines() if line.startswith(f"{invariant} ")]
    assert found, done.stderr


def digests_of(*runs: str) -> list[str]:
    with ThreadPoolExecutor() as at_once:
        done = at_once.map(lambda words: program("torture.pipeline_lives", "--seed", "4", *words.split()), runs)
        return [re.findall(r"digest ([0-9a-f]{12})", run.stdout)[0] for run in done]


@pytest.mark.nightly
def test_i13_other_deaths_come_to_the_same_results_and_a_bug_that_does_not_is_found() -> None:
    one, other = digests_of("--lives 2 --death-seed 1", "--lives 2 --death-seed 2")
    assert one == other
    one, other = digests_of(*[f"--lives 0 --bug {OF_INVARIANTS['I13']}"] * 2)
    assert one != other


def test_every_invariant_has_a_bug() -> None:
    assert list(OF_INVARIANTS) == [f"I{number}" for number in range(1, 14)]
    assert set(OF_INVARIANTS.values()) <= set(BUGS)
