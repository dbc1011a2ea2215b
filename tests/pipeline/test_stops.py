"""A worker that is killed during an orderly stop."""

import os
import random
import signal
import time

import pytest
from pipeline_case import Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=2_000)
STOPS = 3
LONGEST_DELAY_S = 0.6
STORED = "SELECT count(*) FROM result_history"


@pytest.mark.matrix("K13")
def test_a_worker_killed_while_it_stops_loses_and_duplicates_nothing(installation: Installation) -> None:
    chance = random.Random(13)
    truth = batch_of(installation, DAY)
    installation.run("simulate", *DAY.arguments)
    for number in range(1, STOPS + 1):
        worker = installation.start()
        results = len(truth.rows) * number // (STOPS + 2)
        installation.until(lambda: (installation.one(STORED) or 0) > results, "some of it is stored")  # noqa: B023
        os.kill(worker.pid, signal.SIGTERM)
        time.sleep(chance.uniform(0, LONGEST_DELAY_S))  # decides when the kill happens
        worker.kill()
    worker = installation.start_ready()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
