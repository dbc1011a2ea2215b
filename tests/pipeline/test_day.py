"""A hostile day on the embedded log: the pipeline reaches the same verdicts as the batch on its files."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from pipeline_case import Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of

DAY = Day(trades=3_000)
LONG_DAY = Day(trades=10_000)


def test_a_simulated_day_gets_the_verdicts_of_the_batch(installation: Installation) -> None:
    worker = installation.start_ready()
    installation.run("simulate", *DAY.arguments)
    truth = batch_of(installation, DAY)
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    assert worker.leave() == 0


def test_ingested_files_get_the_verdicts_of_the_batch(installation: Installation) -> None:
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
def test_a_worker_killed_while_processing_loses_and_duplicates_nothing(installation: Installation) -> None:
    truth = batch_of(installation, LONG_DAY)
    worker = installation.start_ready()
    with ThreadPoolExecutor(1) as feeder:
        feed = feeder.submit(installation.run, "simulate", *LONG_DAY.arguments)
        for stage in (has_forwarded, has_stored):  # what it has done when it is killed
            installation.until(partial(stage, installation), f"legs or results are {stage.__name__}")
            worker.kill()
            worker = installation.start_ready()
        feed.result()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)


def has_forwarded(installation: Installation) -> bool:
    """Legs are in the journal."""
    return sum(installation.ends(installation.topics.legs).values()) > LONG_DAY.trades // 4


def has_stored(installation: Installation) -> bool:
    """Results are in the database."""
    return bool(installation.one("SELECT count(*) > ? FROM result_history", LONG_DAY.trades // 4))
