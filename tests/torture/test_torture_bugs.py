"""A bug built into the transport is found by the harness: else its silence would prove nothing."""

from pathlib import Path

import pytest

from torture.test_torture_run import torture

WHATEVER_HAPPENS = ("skip-an-offset", "deliver-a-stale-batch", "drop-a-changelog-record")
"""Bugs that bite in every run. The others need a fault at the right moment: ``--bug NAME`` with more cycles."""


@pytest.mark.nightly
@pytest.mark.parametrize("bug", WHATEVER_HAPPENS)
def test_the_harness_finds(bug: str, tmp_path: Path) -> None:
    options = ("--seed", "7", "--cycles", "3", "--broker-kills", "0", "--records", "1000", "--faults", "kill,wipe,stop")
    done, report = torture(tmp_path, *options, "--bug", bug)
    assert done.returncode == 1
    assert not report["safe"], report["line"]
