"""Legs that never match cost disk, and little memory: a part of the long run of ``never_matching``."""

from pathlib import Path

import pytest
from pipeline.never_matching import feed_and_measure, long_grace_installation

LEGS = 10_000
MAX_MIB_PER_1000_LEGS = 8
"""High, because caches and write buffers fill first; docs/operations.md has the figures for a million legs."""


@pytest.mark.matrix("D9")
def test_legs_that_never_match_are_held_in_bounded_memory(tmp_path: Path) -> None:
    installation = long_grace_installation(tmp_path)
    installation.create_topics()
    try:
        worker = installation.start_ready("intake,matching,sink")
        first, *_, last = feed_and_measure(installation, worker, LEGS, timeout_s=120)
        assert last.legs == LEGS
        assert last.now_mib - first.now_mib < MAX_MIB_PER_1000_LEGS * LEGS / 1_000
        assert worker.leave() == 0
    finally:
        installation.close()
