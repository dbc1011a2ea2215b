"""The harness finds bugs seeded into the transport; otherwise a run without findings would prove nothing."""

from pathlib import Path

import pytest

from torture.test_torture_run import torture

FOUND_IN_EVERY_RUN = ("skip-an-offset", "deliver-a-stale-batch", "drop-a-changelog-record")
"""Bugs that show in every run. The others need a fault at the right moment: ``--bug NAME`` with more cycles."""


@pytest.mark.nightly
@pytest.mark.parametrize("bug", FOUND_IN_EVERY_RUN)
def test_a_seeded_bug_of_the_transport_is_found(bug: str, tmp_path: Path) -> None:
    options = ("--seed", "7", "--cycles", "3", "--broker-kills", "0", "--records", "1000", "--faults", "kill,wipe,stop")
    completed, report = torture(tmp_path, *options, "--bug", bug)
    assert completed.returncode == 1
    assert not report["safe"], report["line"]
