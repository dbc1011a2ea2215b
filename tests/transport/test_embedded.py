"""The same app on the embedded log: killed or not, it counts every fact once and publishes its result."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from embedded_apps import JOINS
from torture.findings import Entry
from torture.oracle import History, judge, repeated, unsettled

from traderecon.transport import partition_for
from traderecon.transport.log import Log, Record

TESTS = Path(__file__).parents[1]
PARTITIONS = 4
END_S = 60
LIVES = 12
SEED = 7


class Stage:
    """A log with the topics of an app, its workers and its contents; the test is another process on the log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tables = directory / "tables"
        self.log = Log.open(directory / "log.db")
        self._output_file = directory / "said"
        self._output_file.touch()
        self._output_start = 0
        self._workers: list[subprocess.Popen[bytes]] = []
        self._fed = 0

    def create(self, *topics: str) -> None:
        for topic in topics:
            self.log.create(topic, PARTITIONS)

    def start(self, kind: str) -> "subprocess.Popen[bytes]":
        self._output_start = len(self.output)
        with self._output_file.open("ab") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", "embedded_apps", kind, str(self.directory), str(self.tables)],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._workers.append(worker)
        return worker

    @property
    def output(self) -> str:
        return self._output_file.read_text()

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + END_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {END_S} s: {what}\n{self.output[-4000:]}"
            assert self._workers[-1].poll() is None or condition(), (
                f"the worker ended before: {what}\n{self.output[-4000:]}"
            )
            time.sleep(0.02)

    def ready(self) -> None:
        """Wait until the worker has its partitions and tables."""
        self.until(lambda: "Worker ready" in self.output[self._output_start :], "the worker is ready")

    def passes(self, topic: str, before: dict[int, int]) -> None:
        """Wait until a topic has more records than before."""
        self.until(lambda: self.ends(topic) != before, f"there is more in {topic}")

    def feed(self, count: int) -> None:
        """Facts of a few trades, some of them twice."""
        rng = random.Random(self._fed)
        groups: list[list[tuple[bytes, bytes, int, tuple[()]]]] = [[] for _ in range(PARTITIONS)]
        for number in range(self._fed, self._fed + count):
            key = b"T%d" % rng.randrange(200)
            uid = b"u%d" % (number if rng.random() < 0.9 else rng.randrange(number + 1))
            groups[partition_for(key, PARTITIONS)].append((key, uid, 1_000 + number, ()))
        self._fed += count
        self.log.append([("t-in", partition, group) for partition, group in enumerate(groups)])

    def records(self, topic: str) -> Iterator[tuple[int, Record]]:
        made = any(existing.name == topic for existing in self.log.topics())  # changelogs are created by workers
        for partition in range(PARTITIONS if made else 0):
            for record in self.log.read(topic, partition, 0, 1_000_000, max_bytes=1 << 40):
                yield partition, record

    def entries(self, topic: str) -> list[Entry]:
        return [Entry(partition, record.offset, record.key, record.value) for partition, record in self.records(topic)]

    def committed(self, group: str, topic: str = "t-in") -> dict[int, int]:
        offsets = self.log.committed(group, [(topic, partition) for partition in range(PARTITIONS)])
        return {partition: offset for (_, partition), offset in offsets.items()}

    def ends(self, topic: str = "t-in") -> dict[int, int]:
        return {partition: self.log.end(topic, partition) for partition in range(PARTITIONS)}

    def history(self) -> History:
        return History(
            committed=self.committed("t-counting"),
            outputs=self.entries("t-out"),
            changelog=self.entries("t-counting-counts-changelog"),
            inputs=self.entries("t-in"),
            ends=self.ends(),
        )

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self.log.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_every_record_is_counted_once(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(5_000)
    worker = stage.start("count")
    stage.until(lambda: stage.committed("t-counting") == stage.ends(), "everything is committed")
    stage.feed(10)
    stage.until(lambda: stage.committed("t-counting") == stage.ends(), "what came later too")
    worker.terminate()
    assert worker.wait(END_S) == 0
    history = stage.history()
    assert judge(history, state=True) == []
    assert unsettled(history) == []
    assert repeated(history.outputs) == 0
    stage.start("count")
    stage.feed(10)
    stage.until(lambda: stage.committed("t-counting") == stage.ends(), "it goes on")
    assert repeated(stage.entries("t-out")) == 0
    assert "Worker ready: 4 partitions, 0 records read for the tables" in stage.output[stage.output.index("Stopping") :]


@pytest.mark.matrix("K1", "B9")
def test_a_worker_killed_again_and_again(stage: Stage) -> None:
    rng = random.Random(SEED)
    stage.create("t-in", "t-out")
    stage.feed(500)
    for _ in range(LIVES):
        worker = stage.start("count")
        if rng.random() < 0.8:
            stage.ready()
            before = stage.ends("t-out")
            stage.feed(rng.randrange(1, 3_000))
            stage.passes("t-out", before)
        time.sleep(rng.uniform(0, 0.3))  # the moment of the kill, not a wait
        worker.kill()
        worker.wait()
        assert judge(stage.history(), state=True) == []
        if rng.random() < 0.3:
            shutil.rmtree(stage.tables, ignore_errors=True)
    worker = stage.start("count")
    stage.ready()
    stage.until(lambda: unsettled(stage.history()) == [], "everything is settled")
    assert judge(stage.history(), state=True) == []
    worker.terminate()
    assert worker.wait(END_S) == 0
    shutil.rmtree(stage.tables)
    stage.start("count")
    stage.feed(1_000)
    stage.until(lambda: unsettled(stage.history()) == [], "and once more, from the changelog")
    assert judge(stage.history(), state=True) == []


@pytest.mark.matrix("K6")
def test_results_that_were_cut_off_from_their_state_come_again_byte_for_byte(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(2_000)
    assert stage.start("cut").wait(END_S) == -signal.SIGKILL
    cut_off = len(stage.entries("t-out"))
    stage.start("count")
    stage.until(lambda: unsettled(stage.history()) == [], "everything is settled")
    history = stage.history()
    assert judge(history, state=True) == []
    assert 0 < repeated(history.outputs) < cut_off


@pytest.mark.matrix("Z2")
def test_partitions_that_are_reassigned(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(4_000)
    stage.start("rejoin")
    stage.until(lambda: stage.output.count("Worker ready") == JOINS, "it has joined again and again")
    stage.feed(500)
    stage.until(lambda: unsettled(stage.history()) == [], "everything is settled")
    assert judge(stage.history(), state=True) == []


@pytest.mark.matrix("S1")
def test_a_full_disk_ends_the_process_and_loses_nothing(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(8_000)
    assert stage.start("full").wait(END_S) == 70
    assert "disk full" in stage.output
    assert judge(stage.history(), state=True) == []
    assert unsettled(stage.history()) != []
    stage.start("count")
    stage.until(lambda: unsettled(stage.history()) == [], "everything is settled")
    assert judge(stage.history(), state=True) == []


def test_two_apps_of_one_process_share_the_log(stage: Stage) -> None:
    stage.create("t-in", "t-middle", "t-out")
    stage.feed(3_000)
    worker = stage.start("relay")
    stage.until(lambda: stage.committed("t-second", "t-middle") == stage.ends(), "everything has gone through")
    assert list(stage.records("t-out")) == list(stage.records("t-in"))
    worker.terminate()
    assert worker.wait(END_S) == 0


def test_records_sent_by_faust_arrive_before_the_commit(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(300)
    stage.start("send")
    stage.until(lambda: stage.committed("t-send") == stage.ends(), "everything is committed")
    sent = [
        (partition, record.timestamp, record.key, record.value, record.headers)
        for partition, record in stage.records("t-out")
    ]
    received = [(partition, record.timestamp, record.key, record.value) for partition, record in stage.records("t-in")]
    assert sorted(sent) == sorted((*fields, (("h", b"1"),)) for fields in received)


def test_an_agent_that_fails_ends_the_process_and_acknowledges_nothing(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.log.append([("t-in", 0, [(None, b"poison", 0, ())])])
    worker = stage.start("fail")
    assert worker.wait(END_S) == 70
    assert "cannot stomach it" in stage.output
    assert stage.committed("t-fail").get(0, 0) == 0
    assert stage.log.end("t-out", 0) == 1


@pytest.mark.matrix("Z3")
def test_a_second_worker_is_refused(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    first = stage.start("count")
    stage.ready()
    assert stage.start("count").wait(END_S) == 78
    assert f"a worker is already running on this directory, process {first.pid}" in stage.output
    assert first.poll() is None


@pytest.mark.matrix("B11")
def test_records_that_retention_took_are_missed(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(100)
    worker = stage.start("count")
    stage.until(lambda: stage.committed("t-counting") == stage.ends(), "everything is committed")
    worker.terminate()
    worker.wait(END_S)
    done = stage.ends()[2]
    stage.feed(100)
    stage.log.trim("t-in", 2, done + 5)
    assert stage.start("count").wait(END_S) == 78
    assert f"t-in[2]: offset {done} is next" in stage.output
    assert "5 records were lost to retention" in stage.output


@pytest.mark.matrix("S13")
def test_committed_records_a_table_lacks_are_missed_after_retention(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(100)
    stage.log.commit("t-counting", {("t-in", 2): 3})
    stage.log.trim("t-in", 2, 8)
    assert stage.start("count").wait(END_S) == 78
    assert "t-in[2]: a table ends at offset 0, the group has committed 3, and the log has 8 to" in stage.output


@pytest.mark.matrix("B10", "B11")
def test_records_that_retention_took_are_missed_also_where_the_commit_is_gone(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.feed(100)
    worker = stage.start("count")
    stage.until(lambda: stage.committed("t-counting") == stage.ends(), "everything is committed")
    worker.terminate()
    worker.wait(END_S)
    done = stage.ends()[2]
    stage.feed(100)
    with closing(sqlite3.connect(stage.directory / "log.db")) as db, db:
        db.execute("DELETE FROM commits")
    stage.log.trim("t-in", 2, done + 4)
    assert stage.start("count").wait(END_S) == 78
    assert f"t-in[2]: offset {done} is next" in stage.output


@pytest.mark.matrix("T1")
def test_a_missing_topic_is_rejected(stage: Stage) -> None:
    stage.create("t-out")
    assert stage.start("count").wait(END_S) == 78
    assert "topics missing" in stage.output
    assert "t-in" in stage.output


@pytest.mark.matrix("S3")
def test_a_changelog_of_other_partitions_is_refused(stage: Stage) -> None:
    stage.create("t-in", "t-out")
    stage.log.create("t-counting-counts-changelog", 2, compacted=True)
    assert stage.start("count").wait(END_S) == 78
    assert "has 2 partitions, compacted; requested: 4 partitions, compacted" in stage.output
