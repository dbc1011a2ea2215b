"""Files taken from under a worker: one sentence, an exit code, and of the database nothing is lost."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pipeline_case import Installation
from pipeline_truth import Day, assert_as_in_batch, batch_of
from tiers import nightly_but

from traderecon.sink.store import Store

DAY = Day(trades=300)


def removed(file: Path) -> None:
    for one in file.parent.glob("traderecon.db*"):
        one.unlink()


def file_alone(file: Path) -> None:
    file.unlink()


def log_alone(file: Path) -> None:
    file.with_name("traderecon.db-wal").unlink()


def replaced(file: Path) -> None:
    copy = file.with_name("copy.db")
    shutil.copyfile(file, copy)
    copy.replace(file)


def directory(file: Path) -> None:
    shutil.rmtree(file.parent)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "database").mkdir()
    url = f"sqlite:///{tmp_path}/database/traderecon.db"
    installation = Installation(tmp_path / "installation", database_url=url)
    (installation.directory / "var").mkdir()
    (installation.data_dir / "traderecon.db").symlink_to(tmp_path / "database" / "traderecon.db")  # for its ``rows``
    yield installation
    installation.close()


@pytest.mark.parametrize(
    "happens",
    nightly_but(log_alone, [removed, file_alone, log_alone, replaced, directory]),
)
def test_a_removed_database_is_reported_and_rebuilt(
    installation: Installation, tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    truth = batch_of(installation, DAY)
    worker = installation.start_ready()
    installation.run("simulate", *DAY.arguments)
    installation.until_decided()
    happens(tmp_path / "database" / "traderecon.db")
    assert worker.ended() == 4
    assert "was removed or replaced while in use: put the database back" in worker.log
    assert "Traceback" not in worker.log
    if happens is file_alone:
        removed(tmp_path / "database" / "traderecon.db")  # what is left of it, as the sentence says
    worker = installation.start_ready()
    installation.until_decided()
    assert_as_in_batch(installation, truth, worker)
    assert worker.leave() == 0


def test_an_error_of_a_connection_opened_after_the_removal_is_reported_as_the_removal(tmp_path: Path) -> None:
    """A checkpoint may find the file gone before the sink does: SQLite says "disk I/O error" there."""
    store = Store.open(f"sqlite:///{tmp_path}/traderecon.db")
    store.prepare()
    store.require_in_place()
    log_alone(tmp_path / "traderecon.db")
    with closing(sqlite3.connect(store.path)) as reader, pytest.raises(sqlite3.DatabaseError) as raised:
        reader.execute("SELECT count(*) FROM results")
    assert "traderecon.db-wal was removed or replaced while in use: put the database back" in str(
        store.to_store_error(raised.value)
    )
    store.close()


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
def test_removing_the_embedded_log_ends_its_worker(installation: Installation, name: str) -> None:
    """Nothing that is written to it would be there after a start: the worker must not look ready, and end with 0."""
    installation.create_topics()
    worker = installation.start_ready()
    (installation.data_dir / name).unlink()
    assert worker.ended() == 70
    assert f"{name} was removed or replaced while in use: writes to it are lost. Restore" in worker.log
