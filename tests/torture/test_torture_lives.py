"""The embedded log and the counting app on it, killed again and again."""

import pytest
from programs import program


@pytest.mark.matrix("K1")
def test_sixty_lives_leave_nothing_lost_or_wrong() -> None:
    done = program("torture.lives", "--lives", "60", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 3 | 60 lives | 720 records | 0 WRONG")


def test_numbers_that_are_read_and_written_back_are_right_too() -> None:
    done = program("torture.lives", "--lives", "30", "--seed", "4", "--tally")
    assert done.returncode == 0, done.stderr


def test_a_replay_that_counts_twice_is_found() -> None:
    done = program("torture.lives", "--lives", "30", "--seed", "4", "--tally", "--bug", "let-applied-fall")
    assert done.returncode == 1
    assert "WRONG" in done.stderr


def test_a_bug_is_found_here_too() -> None:
    done = program("torture.lives", "--lives", "20", "--seed", "3", "--bug", "forget-results")
    assert done.returncode == 1
    assert "LOST" in done.stderr
