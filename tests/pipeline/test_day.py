"""A hostile day on the embedded log: what the pipeline makes of it is what the batch makes of its files."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from pipeline_case import Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=3_000)
LONG_DAY = Day(trades=10_000)


def test_a_simulated_day_comes_to_the_batch_verdict(installation: Installation) -> None:
    worker = installation.start_ready()
    installation.run("simulate", *DAY.arguments)
    truth = batch_of(installation, DAY)
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    assert worker.leave() == 0


def test_ingested_files_come_to_the_batch_verdict(installation: Installation) -> None:
    truth = batch_of(installation, DAY)
    folder = installation.directory / "day"
    worker = installation.start_ready()
    files = [folder / f"{topic}.csv" for topic in installation.topics.inputs]
    installation.run("ingest", *files)
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    installation.run("ingest", *files)
    rejects = truth.rejects + truth.rejects
    installation.until_decided()
    assert_as_in_batch(installation, truth._replace(rejects=rejects), worker)


@pytest.mark.matrix("K1")
def test_a_worker_killed_at_work_loses_and_doubles_nothing(installation: Installation) -> None:
    truth = batch_of(installation, LONG_DAY)
    worker = installation.start_ready()
    with ThreadPoolExecutor(1) as feeder:
        feeding = feeder.submit(installation.run, "simulate", *LONG_DAY.arguments)
        for stage in (forwarded, stored):  # what it does when it is killed
            installation.until(partial(stage, installation), f"legs or results are {stage.__name__}")
            worker.kill()
            worker = installation.start_ready()
        feeding.result()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)


def forwarded(installation: Installation) -> bool:
    """Legs are in the journal."""
    return sum(installation.ends(installation.topics.legs).values()) > LONG_DAY.trades // 4


def stored(installation: Installation) -> bool:
    """Results are in the database."""
    return bool(installation.one("SELECT count(*) > ? FROM result_history", LONG_DAY.trades // 4))
