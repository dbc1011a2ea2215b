"""The embedded log and the counting app on it, killed again and again."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
BOUND_S = 900


def lives(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torture.lives", *options],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_S,
    )


def test_k1_sixty_lives_leave_nothing_lost_or_wrong() -> None:
    done = lives("--lives", "60", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 3 | 60 lives | 720 records | 0 WRONG")


def test_numbers_that_are_read_and_written_back_are_right_too() -> None:
    done = lives("--lives", "30", "--seed", "4", "--tally")
    assert done.returncode == 0, done.stderr


def test_a_replay_that_counts_twice_is_found() -> None:
    done = lives("--lives", "30", "--seed", "4", "--tally", "--bug", "let-applied-fall")
    assert done.returncode == 1
    assert "WRONG" in done.stderr


def test_a_bug_is_found_here_too() -> None:
    done = lives("--lives", "20", "--seed", "3", "--bug", "forget-results")
    assert done.returncode == 1
    assert "LOST" in done.stderr
