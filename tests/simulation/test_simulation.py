"""The simulation: a crash at every hit of every failpoint of a small day, random schedules, and seeded bugs."""

import json
from pathlib import Path
from typing import Any

import pytest
from programs import program
from tiers import nightly_but

FOUND_AT_ONCE = (
    "commit-early",
    "drop-a-changelog-record",
    "recover-half",
    "start-chains-anew",
    "commit-without-rows",
    "begin-at-the-commit",
)
"""Seeded bugs of each stage that a few schedules find. docs/simulation.md lists all, and how soon each is found."""


def report(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.nightly
def test_a_crash_at_any_hit_of_any_failpoint_loses_nothing(tmp_path: Path) -> None:
    completed = program("simulation", "--points", "--processes", "2", "--json", str(tmp_path / "report"))
    assert completed.returncode == 0, completed.stderr
    summary = report(tmp_path / "report")
    # The list comes from the product, so a new failpoint must be hit here too.
    from traderecon.transport.failpoints import FAILPOINTS

    assert summary["crashes"].keys() == set(FAILPOINTS)
    assert sum(summary["crashes"].values()) == summary["schedules"] - 1


@pytest.mark.parametrize("schedules", nightly_but(40, [40, 400]))
def test_schedules_of_one_day_lose_nothing_and_reach_the_same_verdicts(schedules: int) -> None:
    completed = program("simulation", "--schedules", str(schedules), "--seed", "8000", "--processes", "2")
    assert completed.returncode == 0, completed.stderr


def test_a_seed_always_gives_the_same_schedule(tmp_path: Path) -> None:
    reports = [tmp_path / "one", tmp_path / "other"]
    assert program("simulation", "--replay", "8011", "--json", str(reports[0])).returncode == 0
    assert (
        program("simulation", "--schedules", "12", "--seed", "8000", "--json", str(tmp_path / "before")).returncode == 0
    )
    assert program("simulation", "--replay", "8011", "--json", str(reports[1])).returncode == 0
    first, second = map(report, reports)
    assert first["passes"] == second["passes"]
    assert first["ends"] == second["ends"]


@pytest.mark.parametrize("bug", FOUND_AT_ONCE)
def test_a_seeded_bug_is_found(bug: str) -> None:
    completed = program("simulation", "--schedules", "60", "--until-wrong", "--bug", bug)
    assert completed.returncode == 1, f"{bug} was not found"
    assert completed.stdout.endswith("1 WRONG\n")


def test_a_record_that_ends_the_sink_for_ever_is_found() -> None:
    """On a day on which the sink fails on a record; ``test_schedules_lose_nothing`` has such days too."""
    done = program("simulation", "--schedules", "8", "--seed", "8008", "--until-wrong", "--bug", "blame-no-record")
    assert done.returncode == 1
    assert done.stdout.endswith("1 WRONG\n")


@pytest.mark.matrix("B16")
@pytest.mark.parametrize("trials", nightly_but(20, [20, 60]))
def test_a_cut_log_is_refused_or_processed_completely(trials: int, tmp_path: Path) -> None:
    reports = ("--trials", str(trials), "--reports", str(tmp_path))
    completed = program("simulation.surgery", *reports)
    assert completed.returncode == 0, completed.stderr
    assert program("simulation.surgery", *reports).stdout == completed.stdout  # read back from the reports
    outcomes = [trial["outcome"] for path in tmp_path.glob("*.json") for trial in report(path)]
    assert len(outcomes) == trials
    assert min(outcomes.count("refused"), outcomes.count("complete")) > trials // 6


@pytest.mark.matrix("B16")
def test_a_worker_that_does_not_check_for_cut_logs_is_found(tmp_path: Path) -> None:
    completed = program("simulation.surgery", "--trials", "20", "--bug", "believe-the-offset")
    assert completed.returncode == 1
    assert "SILENT" in completed.stdout
