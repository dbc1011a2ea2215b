"""Real workers ended by SIGKILL at each point; a test is named by its row of the fault matrix."""

import json
import signal
from collections.abc import Mapping
from typing import Any

import pytest
from programs import program

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Every row of one run: an installation that lives through all of them."""
    done = program("simulation.ends")
    found = {row["row"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert "settled" in found, done.stderr
    return found


def assert_ended(row: Row, lives: int) -> None:
    """Each life was killed where it was to be, and nothing was lost or wrong then."""
    assert row["ended"] == [-signal.SIGKILL] * lives
    assert row["wrong"] == []


@pytest.mark.matrix("K1")
def test_killed_between_the_log_and_the_agent(rows: dict[str, Row]) -> None:
    assert_ended(rows["K1"], 3)


@pytest.mark.matrix("K2")
def test_killed_with_published_results_and_no_changelog(rows: dict[str, Row]) -> None:
    assert_ended(rows["K2"], 1)


@pytest.mark.matrix("K3")
def test_killed_with_an_unacknowledged_changelog(rows: dict[str, Row]) -> None:
    assert_ended(rows["K3"], 1)


@pytest.mark.matrix("K4")
def test_killed_before_the_local_store(rows: dict[str, Row]) -> None:
    assert_ended(rows["K4"], 1)


@pytest.mark.matrix("K5")
def test_killed_with_unacknowledged_results_and_legs(rows: dict[str, Row]) -> None:
    assert_ended(rows["K5"], 2)


@pytest.mark.matrix("K6")
def test_killed_between_the_local_store_and_the_acknowledgement(rows: dict[str, Row]) -> None:
    assert_ended(rows["K6"], 1)


@pytest.mark.matrix("K7")
def test_killed_between_the_acknowledgement_and_the_commit(rows: dict[str, Row]) -> None:
    assert_ended(rows["K7"], 3)


@pytest.mark.matrix("K8")
def test_killed_before_and_after_a_commit(rows: dict[str, Row]) -> None:
    assert_ended(rows["K8"], 2)


@pytest.mark.matrix("K9")
def test_killed_around_and_in_the_transaction_of_the_sink(rows: dict[str, Row]) -> None:
    assert_ended(rows["K9"], 4)


@pytest.mark.matrix("K10")
def test_killed_while_it_recovers(rows: dict[str, Row]) -> None:
    assert_ended(rows["K10"], 3)


@pytest.mark.matrix("K11")
def test_killed_while_it_opens_its_stores(rows: dict[str, Row]) -> None:
    assert_ended(rows["K11"], 3)


@pytest.mark.matrix("K12")
def test_killed_while_it_gives_partitions_up(rows: dict[str, Row]) -> None:
    assert_ended(rows["K12"], 2)


@pytest.mark.matrix("K13")
def test_killed_while_it_stops_in_order(rows: dict[str, Row]) -> None:
    assert_ended(rows["K13"], 4)


@pytest.mark.matrix("K14")
def test_killed_after_a_failure_was_counted(rows: dict[str, Row]) -> None:
    assert_ended(rows["K14"], 2)


def test_all_faults_combined_agree_with_the_oracle(rows: dict[str, Row]) -> None:
    assert rows["settled"]["wrong"] == []
