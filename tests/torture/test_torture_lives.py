"""The embedded log and the counting app on it, killed again and again."""

import pytest
from programs import program
from tiers import nightly_but


@pytest.mark.matrix("K1")
@pytest.mark.parametrize("lives", nightly_but(15, [15, 60]))
def test_lives_leave_nothing_lost_or_wrong(lives: int) -> None:
    done = program("torture.lives", "--lives", str(lives), "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"seed 3 | {lives} lives | {12 * lives} records | 0 WRONG")


@pytest.mark.nightly
def test_numbers_that_are_read_and_written_back_are_right_too() -> None:
    done = program("torture.lives", "--lives", "30", "--seed", "4", "--tally")
    assert done.returncode == 0, done.stderr


@pytest.mark.nightly
def test_a_replay_that_counts_twice_is_found() -> None:
    done = program("torture.lives", "--lives", "30", "--seed", "4", "--tally", "--bug", "let-applied-fall")
    assert done.returncode == 1
    assert "WRONG" in done.stderr


def test_a_bug_is_found_here_too() -> None:
    # Where in its work a life ends is up to the clock too, so a busy machine may miss the bug once.
    runs = (
        program("torture.lives", "--lives", "20", "--seed", str(seed), "--bug", "forget-results") for seed in (3, 4, 5)
    )
    found = next((run for run in runs if run.returncode == 1), None)
    assert found is not None
    assert "LOST" in found.stderr
