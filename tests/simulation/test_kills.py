"""Real workers killed at each failpoint; each test names its row of the fault matrix."""

import json
import signal
from collections.abc import Mapping
from typing import Any

import pytest
from programs import program

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """The rows of one run, all on the same installation."""
    completed = program("simulation.kills")
    rows_by_name = {row["row"]: row for row in map(json.loads, completed.stdout.splitlines())}
    assert "settled" in rows_by_name, completed.stderr
    return rows_by_name


def assert_killed(row: Row, workers: int) -> None:
    """Each worker was killed at its failpoint, and nothing was lost or wrong afterwards."""
    assert row["ended"] == [-signal.SIGKILL] * workers
    assert row["wrong"] == []


@pytest.mark.matrix("K1")
def test_a_kill_between_fetch_and_agent_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K1"], 3)


@pytest.mark.matrix("K2")
def test_a_kill_after_publishing_results_but_before_the_changelog_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K2"], 1)


@pytest.mark.matrix("K3")
def test_a_kill_with_unacknowledged_changelog_writes_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K3"], 1)


@pytest.mark.matrix("K4")
def test_a_kill_before_the_local_store_is_written_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K4"], 1)


@pytest.mark.matrix("K5")
def test_a_kill_with_unacknowledged_results_or_legs_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K5"], 2)


@pytest.mark.matrix("K6")
def test_a_kill_between_local_store_and_acknowledgement_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K6"], 1)


@pytest.mark.matrix("K7")
def test_a_kill_between_acknowledgement_and_commit_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K7"], 3)


@pytest.mark.matrix("K8")
def test_a_kill_before_or_after_a_commit_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K8"], 2)


@pytest.mark.matrix("K9")
def test_a_kill_in_or_around_the_transaction_of_the_sink_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K9"], 4)


@pytest.mark.matrix("K10")
def test_a_kill_during_recovery_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K10"], 3)


@pytest.mark.matrix("K11")
def test_a_kill_while_opening_local_stores_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K11"], 3)


@pytest.mark.matrix("K12")
def test_a_kill_while_partitions_are_revoked_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K12"], 2)


@pytest.mark.matrix("K13")
def test_a_kill_during_an_orderly_stop_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K13"], 4)


@pytest.mark.matrix("K14")
def test_a_kill_after_a_failure_is_counted_loses_nothing(rows: dict[str, Row]) -> None:
    assert_killed(rows["K14"], 2)


def test_the_oracle_finds_nothing_wrong_after_all_kills(rows: dict[str, Row]) -> None:
    assert rows["settled"]["wrong"] == []
