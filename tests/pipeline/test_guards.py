"""Guards of a worker: state of another log, a full disk, a locked database, a damaged store."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from broker.waiting import until
from groups import group_of
from pipeline.trades import duplicate_results, matched_count, send
from pipeline_case import TRADERECON, Ended, Installation, Running
from tiers import nightly_but
from torture.stores import rows_of

from traderecon.transport.log import Log

REFUSED = 78
FAIL_STOP = 70
SHM = Path("/dev/shm")


def match_trades(installation: Installation, trades: int = 20) -> None:
    """Run a worker until so many trades are matched, and stop it in order."""
    worker = installation.start_ready()
    send(installation, range(trades))
    installation.until(lambda: matched_count(installation) == trades, "all are matched")
    assert worker.leave() == 0


def refusal(installation: Installation, **settings: object) -> str:
    """The message of a worker that refuses to start with these settings changed."""
    environment = {f"TRADERECON_{name.upper()}": str(value) for name, value in settings.items()}
    completed = subprocess.run(
        [TRADERECON, "worker"],
        cwd=installation.directory,
        env={**installation.environment, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == REFUSED, completed.stderr
    assert "Traceback" not in completed.stderr
    return completed.stderr


def role_signs(worker: Running) -> dict[str, dict[str, bool]]:
    """The answer of ``/healthz/ready`` for each role, ready or not."""
    try:
        body = worker.get("/healthz/ready")
    except HTTPError as error:
        body = error.read()
    roles: dict[str, dict[str, bool]] = json.loads(body)["roles"]
    return roles


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A stopped installation with matched trades, for tests in which a worker is refused and changes nothing."""
    installation = Installation(tmp_path_factory.mktemp("used"))
    installation.create_topics()
    match_trades(installation)
    yield installation
    installation.close()


@pytest.mark.matrix("S3")
@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("topic_prefix", "uat.", "belongs to the topic prefix '', but TRADERECON_TOPIC_PREFIX leads to 'uat.'"),
        ("topic_partitions", 5, "belongs to the number of partitions 4, but TRADERECON_TOPIC_PARTITIONS leads to 5"),
    ],
)
def test_a_data_directory_of_another_layout_is_refused(
    stopped: Installation, setting: str, value: object, words: str
) -> None:
    before = home_files(stopped)
    assert words in refusal(stopped, **{setting: value})
    assert home_files(stopped) == before


def home_files(installation: Installation) -> dict[str, bytes]:
    """Every file of the worker's home."""
    home = installation.data_dir / "worker-0"
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


@pytest.mark.matrix("S3")
def test_a_data_directory_of_another_log_is_refused(stopped: Installation) -> None:
    moved = stopped.directory / "aside"
    moved.mkdir()
    logs = sorted(stopped.data_dir.glob("log.db*"))
    for path in logs:
        path.rename(moved / path.name)
    before = home_files(stopped)
    message = refusal(stopped)
    assert re.search(r"belongs to the cluster 'log-\w+', but TRADERECON_BROKER leads to 'log-\w+'", message)
    assert home_files(stopped) == before
    for path in stopped.data_dir.glob("log.db*"):
        path.unlink()
    for path in logs:
        (moved / path.name).rename(path)


@pytest.mark.matrix("T6")
def test_an_unexpected_cluster_is_refused(stopped: Installation) -> None:
    message = refusal(stopped, cluster_id="production", data_dir=stopped.directory / "fresh")
    assert re.search(r"this is the cluster 'log-[0-9a-f]{16}', but TRADERECON_CLUSTER_ID expects 'production'", message)
    assert not (stopped.directory / "fresh" / "worker-0").exists()


@pytest.mark.matrix("T6")
def test_a_database_of_another_log_is_refused(stopped: Installation) -> None:
    database = stopped.data_dir / "traderecon.db"
    before = database.read_bytes()
    message = refusal(stopped, data_dir=stopped.directory / "second", database_url=f"sqlite:///{database}")
    assert "belongs to the cluster 'log-" in message
    assert "TRADERECON_DATABASE_URL" in message
    assert database.read_bytes() == before


def test_a_database_without_a_log_identity_is_bound_once_and_logged(stopped: Installation) -> None:
    with closing(sqlite3.connect(stopped.data_dir / "traderecon.db")) as database, database:
        database.execute("DELETE FROM log_identity")
    warning = "was written by a version that did not record its log"
    counts = []
    for _ in range(2):
        worker = stopped.start_ready("sink")
        assert worker.leave() == 0
        counts.append(worker.log.count(warning))
    assert counts == [1, 0]


@pytest.fixture
def quiet_disk(tmp_path: Path) -> Iterator[Installation]:
    """An installation on a disk whose free space no other process changes, if there is one."""
    directory = SHM / f"traderecon-{os.getpid()}" if os.access(SHM, os.W_OK) else tmp_path / "quiet"
    directory.mkdir()
    free_mb = shutil.disk_usage(directory).free // 1024**2
    installation = Installation(directory, min_free_mb=free_mb - FILLER_MB // 2)
    installation.create_topics()
    yield installation
    installation.close()
    shutil.rmtree(directory)


FILLER_MB = 400


@pytest.mark.matrix("S1")
def test_f8_a_full_disk_pauses_intake_until_there_is_space(quiet_disk: Installation) -> None:
    installation = quiet_disk
    worker = installation.start_ready()
    send(installation, range(5))
    installation.until(lambda: matched_count(installation) == 5, "the first are matched")
    filler = installation.directory / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, FILLER_MB * 1024**2)
    installation.until(lambda: not worker.ready(), "it is not ready any more")
    assert role_signs(worker)["intake"] == {"ready": True, "taking_in": False}
    assert role_signs(worker)["matching"]["taking_in"]
    assert b"TradeRecon" in worker.get("/")
    assert worker.metric("traderecon_held") == 1
    assert worker.metric("traderecon_disk_free_bytes") > 0
    send(installation, range(5, 10))
    ends = installation.ends(installation.topics.executions)
    assert sum(ends.values()) == 10
    assert matched_count(installation) == 5
    assert worker.log.count("traderecon-intake is paused") == 1
    filler.unlink()
    installation.until(lambda: matched_count(installation) == 10, "with room it goes on by itself")
    installation.until(worker.ready, "and is ready")
    assert worker.leave() == 0


@contextmanager
def write_locked(path: Path) -> Iterator[None]:
    """Another process holds the write lock of the database while this lasts."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


SHORT_TIMEOUTS = """
import sys
from traderecon.sink import database, store_thread
from traderecon.transport import app, consumer
store_thread.SLOW_S = 0.5
database.BUSY_TIMEOUT_S = 1.0
consumer.BatchConsumer.watch_interval_s = 0.5
whole = app.StreamApp.__init__
def shorter(self, *args, **settings):
    whole(self, *args, **{**settings, "stall_s": 4.0})
app.StreamApp.__init__ = shorter
from traderecon.cli import main
sys.exit(main())
"""
"""A worker with timeouts of a few seconds, so that a lock of ten seconds exceeds all of them."""


@pytest.mark.matrix("S6")
def test_a_database_that_is_locked_for_long_is_waited_for(installation: Installation) -> None:
    worker = installation.start(program=(str(TRADERECON.with_name("python")), "-c", SHORT_TIMEOUTS))
    installation.until(worker.ready, "it is ready")
    send(installation, range(5))
    installation.until(lambda: matched_count(installation) == 5, "the first are matched")
    with write_locked(installation.data_dir / "traderecon.db"):
        send(installation, range(5, 10))
        installation.until(lambda: not role_signs(worker)["sink"]["taking_in"], "the sink says that it waits")
        # Intake and matching go on, and time with them: far past what would end a worker that stands still.
        ends = installation.ends(installation.topics.standings)
        installation.until(
            lambda: sum(installation.ends(installation.topics.standings).values()) > sum(ends.values()) + 8,
            "matching has told eight times more how it stands",
        )
        assert sum(installation.ends(installation.topics.reconciled).values()) == 10
        assert role_signs(worker)["matching"] == {"ready": True, "taking_in": True}
        assert b"TradeRecon" in worker.get("/")  # reads go on
        assert matched_count(installation) == 5
        sink = group_of("", "sink", installation.data_dir / "traderecon.db")
        assert f"{sink} is paused" in worker.log
    installation.until(lambda: matched_count(installation) == 10, "it goes on by itself")
    installation.until(worker.ready, "and is ready")
    assert duplicate_results(installation) == 0
    assert worker.leave() == 0


SLOW = """
import sys, time
from traderecon.sink.store import Store
whole = Store.take
def slowly(self, *arguments):
    time.sleep(0.5)
    return whole(self, *arguments)
Store.take = slowly
from traderecon.cli import main
sys.exit(main())
"""


@pytest.mark.matrix("S9")
def test_a_slow_database_holds_back_the_sink_alone(installation: Installation) -> None:
    worker = installation.start(program=(str(TRADERECON.with_name("python")), "-c", SLOW))
    installation.until(worker.ready, "it is ready")
    for first in range(0, 200, 40):
        send(installation, range(first, first + 40))
    results = (installation.topics.reconciled, installation.topics.mismatch)
    installation.until(lambda: sum(installation.ends(*results).values()) >= 200, "matching is done with all of it")
    assert role_signs(worker)["matching"] == {"ready": True, "taking_in": True}
    installation.until(lambda: matched_count(installation) == 200, "and the sink in its own time")
    assert duplicate_results(installation) == 0
    assert worker.leave() == 0


def stores(installation: Installation) -> list[Path]:
    """The local stores of matching."""
    return sorted((installation.data_dir / "worker-0" / "matching").glob("v1/tables/*.db"))


def facts_and_last_published(installation: Installation) -> list[tuple[bytes, bytes]]:
    """What the stores hold of trades; no worker runs."""
    held = [row for store in stores(installation) for row in rows_of(store).items()]
    return sorted(row for row in held if row[0].startswith((b"f", b"e")))


def rows_by_changelog(installation: Installation) -> list[tuple[bytes, bytes]]:
    """The same as the changelog says it."""
    newest: dict[bytes, bytes | None] = {}
    with Log.open(installation.data_dir / "log.db") as log:
        for topic in log.topics():
            if topic.name.endswith("-changelog"):
                for partition in range(topic.partitions):
                    at = 0
                    while records := log.read(topic.name, partition, at, 10_000):
                        newest |= {record.key or b"": record.value for record in records}
                        at = records[-1].offset + 1
    return sorted((key, value) for key, value in newest.items() if value is not None and key.startswith((b"f", b"e")))


def stopped_before(worker: Running, done: Callable[[], bool]) -> bool:
    """Whether the worker kept no promise rather than come to this point."""
    try:
        until(lambda: worker.alive() and done(), "it ends, or is done", 120)
    except Ended:
        assert worker.ended() == FAIL_STOP
        return True
    return False


@pytest.mark.matrix("S2")
def test_a_store_with_a_flipped_bit_is_detected_and_rebuilt(installation: Installation) -> None:
    match_trades(installation, 400)
    before = facts_and_last_published(installation)
    for store in stores(installation)[:1]:
        file = max(store.glob("*.sst"), key=lambda path: path.stat().st_size)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    send(installation, range(420))  # the first are already matched: every fact of theirs is looked up
    starts = 1
    while stopped_before(worker := installation.start(), lambda: matched_count(installation) == 420):
        assert "Corruption" in worker.log
        starts += 1
    assert starts > 1
    assert "It was moved to" in worker.log
    assert worker.leave() == 0
    assert duplicate_results(installation) == 0
    after = facts_and_last_published(installation)
    assert [row for row in after if row in set(before)] == before
    assert rows_by_changelog(installation) == after


@pytest.mark.matrix("P10")
@pytest.mark.parametrize("topic", nightly_but("legs", ["legs", "reconciled"]))
def test_a_record_of_a_newer_version_stops_the_worker_and_is_no_dead_letter(
    installation: Installation, topic: str
) -> None:
    installation.append(topic, [b'{"format": 7, "moon": "full"}'], key=b"T1")
    for _ in range(3):  # a third internal error would make the record a dead letter
        worker = installation.start()
        assert worker.ended() == REFUSED
        assert "a record of format 7, this version reads up to 6" in worker.log
    assert sum(installation.ends(installation.topics.dead_letters).values()) == 0
