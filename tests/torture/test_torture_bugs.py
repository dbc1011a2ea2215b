"""A bug built into the transport is found by the harness, each of them: else its silence would prove nothing."""

from pathlib import Path

import pytest

from torture.bugs import BUGS
from torture.test_torture_run import torture

ELSEWHERE = {"let-applied-fall"}
"""Facts hide it; the tally of test_torture_lives finds it."""


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug not in ELSEWHERE])
def test_the_harness_finds(bug: str, tmp_path: Path) -> None:
    options = ("--seed", "7", "--cycles", "4", "--broker-kills", "0", "--records", "1500", "--faults", "kill,wipe")
    done, report = torture(tmp_path, *options, "--bug", bug)
    assert done.returncode == 1
    assert not report["safe"], report["line"]
