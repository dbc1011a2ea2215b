"""The counting app on the embedded log, killed repeatedly."""

import pytest
from programs import program
from tiers import nightly_but


@pytest.mark.matrix("K1")
@pytest.mark.parametrize("lives", nightly_but(15, [15, 60]))
def test_killed_workers_lose_nothing_and_count_right(lives: int) -> None:
    completed = program("torture.lives", "--lives", str(lives), "--seed", "3")
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith(f"seed 3 | {lives} lives | {12 * lives} records | 0 WRONG")


@pytest.mark.nightly
def test_numbers_that_are_incremented_in_place_are_right_too() -> None:
    completed = program("torture.lives", "--lives", "30", "--seed", "4", "--tally")
    assert completed.returncode == 0, completed.stderr


@pytest.mark.nightly
def test_a_replay_that_counts_twice_is_found() -> None:
    completed = program("torture.lives", "--lives", "30", "--seed", "4", "--tally", "--bug", "let-applied-fall")
    assert completed.returncode == 1
    assert "WRONG" in completed.stderr


def test_a_seeded_bug_is_found_on_the_embedded_log() -> None:
    # The kill also depends on the machine's speed, so one seed may miss the bug on a busy machine.
    runs = (
        program("torture.lives", "--lives", "20", "--seed", str(seed), "--bug", "forget-results") for seed in (3, 4, 5)
    )
    found = next((run for run in runs if run.returncode == 1), None)
    assert found is not None
    assert "LOST" in found.stderr
