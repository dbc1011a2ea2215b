"""The simulation: every pass of every point of a small day, a hundred and twenty schedules, and bugs that it finds."""

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
"""Bugs that a few schedules find, of every stage. The others, and how soon: docs/simulation.md."""


def report(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.nightly
def test_a_small_day_survives_an_end_at_every_pass_of_every_point(tmp_path: Path) -> None:
    done = program("simulation", "--points", "--processes", "2", "--json", str(tmp_path / "report"))
    assert done.returncode == 0, done.stderr
    told = report(tmp_path / "report")
    # Which points there are is asked of the product by name, so that a new one must be passed here too.
    from traderecon.transport.failpoints import FAILPOINTS

    assert told["crashes"].keys() == set(FAILPOINTS)
    assert sum(told["crashes"].values()) == told["schedules"] - 1


@pytest.mark.parametrize("schedules", nightly_but(40, [40, 400]))
def test_schedules_lose_nothing_and_come_to_the_same(schedules: int) -> None:
    done = program("simulation", "--schedules", str(schedules), "--seed", "8000", "--processes", "2")
    assert done.returncode == 0, done.stderr


def test_a_seed_is_the_same_schedule_every_time(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "other"]
    assert program("simulation", "--replay", "8011", "--json", str(paths[0])).returncode == 0
    assert (
        program("simulation", "--schedules", "12", "--seed", "8000", "--json", str(tmp_path / "before")).returncode == 0
    )
    assert program("simulation", "--replay", "8011", "--json", str(paths[1])).returncode == 0
    first, second = map(report, paths)
    assert first["passes"] == second["passes"]
    assert first["ends"] == second["ends"]


@pytest.mark.parametrize("bug", FOUND_AT_ONCE)
def test_a_bug_is_found(bug: str) -> None:
    done = program("simulation", "--schedules", "60", "--until-wrong", "--bug", bug)
    assert done.returncode == 1, f"{bug} was not found"
    assert done.stdout.endswith("1 WRONG\n")


def test_a_record_that_ends_the_sink_for_ever_is_found() -> None:
    """On a day on which the sink fails on a record; ``test_schedules_lose_nothing`` has such days too."""
    done = program("simulation", "--schedules", "8", "--seed", "8008", "--until-wrong", "--bug", "blame-no-record")
    assert done.returncode == 1
    assert done.stdout.endswith("1 WRONG\n")


@pytest.mark.matrix("B16")
@pytest.mark.parametrize("trials", nightly_but(20, [20, 60]))
def test_logs_that_were_cut_are_refused_or_complete(trials: int, tmp_path: Path) -> None:
    reports = ("--trials", str(trials), "--reports", str(tmp_path))
    done = program("simulation.surgery", *reports)
    assert done.returncode == 0, done.stderr
    assert program("simulation.surgery", *reports).stdout == done.stdout  # from the reports
    outcomes = [one["outcome"] for path in tmp_path.glob("*.json") for one in report(path)]
    assert len(outcomes) == trials
    assert min(outcomes.count("refused"), outcomes.count("complete")) > trials // 6


@pytest.mark.matrix("B16")
def test_a_worker_that_does_not_look_is_found(tmp_path: Path) -> None:
    done = program("simulation.surgery", "--trials", "20", "--bug", "believe-the-offset")
    assert done.returncode == 1
    assert "SILENT" in done.stdout
