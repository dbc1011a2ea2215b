"""A worker that is asked to stop, and killed before it has stopped."""

import os
import random
import signal
import time

import pytest
from pipeline_case import Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=2_000)
STOPS = 3
LONGEST_S = 0.6
STORED = "SELECT count(*) FROM result_history"


@pytest.mark.matrix("K13")
def test_a_worker_killed_while_it_stops_loses_and_doubles_nothing(installation: Installation) -> None:
    chance = random.Random(13)
    truth = batch_of(installation, DAY)
    installation.run("simulate", *DAY.arguments)
    for stop in range(1, STOPS + 1):
        worker = installation.start()
        share = len(truth.rows) * stop // (STOPS + 2)
        installation.until(lambda: (installation.one(STORED) or 0) > share, "some of it is stored")  # noqa: B023
        os.kill(worker.pid, signal.SIGTERM)
        time.sleep(chance.uniform(0, LONGEST_S))  # the moment of the kill, not a wait
        worker.kill()
    worker = installation.start_ready()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
