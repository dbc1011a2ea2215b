"""A sink under adverse conditions: a slow database, and no more file descriptors."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_case import Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=700)
MOST_MIB = 400
SLOW = """
import time
from traderecon.cli import main
from traderecon.sink.store import Store

take = Store.take

def slowly(*given, **named):
    time.sleep(0.4)
    return take(*given, **named)

Store.take = slowly
main()
"""
FILES = 20
"""Fewer than the process has open."""
STOPPED = {4, 70}
"""Exit codes: the database cannot be opened; or another error."""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    installation.create_topics()
    yield installation
    installation.close()


@pytest.mark.matrix("S9")
def test_a_slow_database_is_waited_for_in_bounded_memory(installation: Installation) -> None:
    truth = batch_of(installation, DAY)
    worker = installation.start(program=[sys.executable, "-c", SLOW])
    installation.run("simulate", *DAY.arguments)
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    assert worker.peak_mib() < MOST_MIB
    assert worker.leave() == 0


@pytest.mark.matrix("S11")
def test_a_worker_out_of_open_files_stops_and_the_next_continues(installation: Installation) -> None:
    truth = batch_of(installation, DAY)
    installation.run("simulate", *DAY.arguments)
    worker = installation.start_ready()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    assert worker.ended() in STOPPED
    assert any(words in worker.log for words in ("Too many open files", "unable to open database file"))
    worker = installation.start_ready()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
