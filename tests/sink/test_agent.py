"""The sink as a worker on the embedded log: whatever happens, each record on the topics is in the database once."""

import base64
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sink.outputs import PARTITIONS, TOPICS, Outputs, rows, simulated_outputs

from traderecon.sink.filters import TradeFilter
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch
from traderecon.transport.log import Log

TESTS = Path(__file__).parents[1]
END_S = 180
UNREACHABLE = 4
SOFTWARE_ERROR = 70
CONFIG = 78


BUGGY = """
import sys
from pathlib import Path
from sink import sink_app
from traderecon.sink import store

write_results = store.write_results

def failing(connection, sql, feed, *, breaks):
    if any(b'"T-7"' in record.value for record in feed.records):
        raise RuntimeError("a bug")
    return write_results(connection, sql, feed, breaks=breaks)

store.write_results = failing
sink_app.main(Path(sys.argv[1]))
"""


class Stage:
    """A log with the output topics, a database, and the workers on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = Log.open(directory / "log.db")
        for topic in TOPICS.outputs:
            self.log.create(topic, PARTITIONS)
        self.store = Store.open(f"sqlite:///{directory / 't.db'}")
        self.store.prepare()
        self._log_file = directory / "worker.log"
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self, *program: str) -> "subprocess.Popen[bytes]":
        with self._log_file.open("ab") as out:
            worker = subprocess.Popen(
                [sys.executable, *(program or ("-m", "sink.sink_app")), str(self.directory)],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._workers.append(worker)
        return worker

    @property
    def worker_log(self) -> str:
        return self._log_file.read_text()

    def publish(self, outputs: Outputs) -> None:
        """Publish everything; the log assigns the offsets, without gaps."""
        for (topic, partition), records in outputs.partitions.items():
            self.log.append([(topic, partition, [(one.key, one.value, one.timestamp, ()) for one in records])])

    def until(self, found: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + END_S
        while not found():
            assert time.monotonic() < deadline, f"not within {END_S} s: {what}\n{self.worker_log[-4000:]}"
            assert self._workers[-1].poll() is None or found(), (
                f"the worker ended before: {what}\n{self.worker_log[-4000:]}"
            )
            time.sleep(0.02)

    def done(self) -> bool:
        ends = {(topic, at): self.log.end(topic, at) for topic in TOPICS.outputs for at in range(PARTITIONS)}
        return self.store.offsets() == {tp: end for tp, end in ends.items() if end}

    def counted(self, metric: str) -> float:
        """A metric of the last worker that stopped in order."""
        return float(re.findall(rf"^{metric} (\S+)$", self.worker_log, re.MULTILINE)[-1])

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self.log.close()
        self.store.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_published_records_are_stored_and_counted(stage: Stage) -> None:
    stage.publish(simulated_outputs(300))
    worker = stage.start()
    stage.until(stage.done, "everything is stored")
    worker.terminate()
    assert worker.wait(END_S) == 0
    found = rows(stage.store.engine)
    stored = sum(len(found[name]) for name in ("result_history", "dead_letters"))
    assert stage.counted("traderecon_sink_rows_total") >= stored + len(found["standings"])
    assert stage.counted("traderecon_result_conflicts_total") == 0
    assert stage.counted("traderecon_sink_batch_seconds_count") >= len(found["sink_offsets"])
    assert 0 < stage.counted("traderecon_end_to_end_seconds_count") <= len(found["result_history"])


def test_a_worker_continues_at_the_offsets_of_the_database(stage: Stage) -> None:
    outputs = simulated_outputs(300)
    stage.publish(outputs)
    worker = stage.start()
    stage.until(stage.store.offsets, "something is stored")
    worker.kill()
    worker.wait()
    # A commit ahead of the database, as left by a group whose database was lost.
    stage.log.commit(
        "sink", {(TOPICS.reconciled, at): stage.log.end(TOPICS.reconciled, at) for at in range(PARTITIONS)}
    )
    for name in ("t.db", "t.db-wal", "t.db-shm"):
        (stage.directory / name).unlink(missing_ok=True)
    stage.store.close()
    stage.store = Store.open(f"sqlite:///{stage.directory / 't.db'}")
    stage.store.prepare()
    stage.start()
    stage.until(stage.done, "everything is stored")
    published = sum(len(records) for (topic, _), records in outputs.partitions.items() if topic == TOPICS.reconciled)
    history = [row for row in rows(stage.store.engine)["result_history"] if TOPICS.reconciled in row]
    assert 0 < len(history) <= published
    before = rows(stage.store.engine)
    stage._workers[-1].kill()
    stage._workers[-1].wait()
    stage.publish(outputs)
    stage.start()
    stage.until(stage.done, "and all of it again")
    after = rows(stage.store.engine)
    assert {name: found for name, found in after.items() if name not in {"sink_offsets", "standings"}} == {
        name: found for name, found in before.items() if name not in {"sink_offsets", "standings"}
    }


def test_a_foreign_record_ends_the_process(stage: Stage) -> None:
    stage.log.append([(TOPICS.mismatch, 0, [(b"T", b"{}", 0, ())])])
    assert stage.start().wait(END_S) == SOFTWARE_ERROR
    assert "mismatch[0] offset 0, key b'T': Object missing required field" in stage.worker_log
    assert stage.store.offsets() == {}


def test_a_foreign_record_becomes_a_dead_letter_on_the_third_attempt(stage: Stage, tmp_path: Path) -> None:
    tp, value = (TOPICS.mismatch, 0), b'{"trade_id": "T"}'
    stage.log.append([(*tp, [(b"T", value, 7, ())])])
    stage.publish(simulated_outputs(300))
    for _ in range(2):
        assert stage.start().wait(END_S) == SOFTWARE_ERROR
        assert tp not in stage.store.offsets()
    worker = stage.start()
    stage.until(stage.done, "everything is stored")
    worker.terminate()
    assert worker.wait(END_S) == 0
    assert stage.counted('traderecon_messages_rejected_total{reason="HANDLER_ERROR",topic="mismatch"}') == 1
    found = dict(rows(stage.store.engine))
    ours = [row for row in found["dead_letters"] if row[0] == "HANDLER_ERROR"]
    [(_, text, *origin, received_at, _, size, key, raw, _, _, _, _, _, _, _)] = ours
    assert (origin, received_at, size) == ([*tp, 0], "1970-01-01T00:00:00.007Z", len(value))
    assert (
        "not a record that this topic carries; three attempts failed: mismatch[0] offset 0, key b'T': Object missing"
        in text
    )
    assert (base64.b64decode(key), base64.b64decode(raw)) == (b"T", value)
    other = Store.open(f"sqlite:///{tmp_path / 'other.db'}")
    other.prepare()
    simulated_outputs(300).write_to(other)
    expected = rows(other.engine)
    other.close()
    for table in ("results", "breaks", "break_events"):
        assert found[table] == expected[table]


def test_a_record_with_a_bug_becomes_a_dead_letter_on_the_third_attempt(stage: Stage, tmp_path: Path) -> None:
    outputs = simulated_outputs(100)
    stage.publish(outputs)
    failing = [
        (topic, record.value)
        for (topic, _), records in outputs.partitions.items()
        for record in records
        if record.value and b'"T-7"' in record.value
    ]
    for _ in range(2 * len(failing)):
        assert stage.start("-c", BUGGY).wait(END_S) == SOFTWARE_ERROR
    assert re.search(r"\[\d\] offset \d+, key b'T-7': RuntimeError: a bug", stage.worker_log)
    worker = stage.start("-c", BUGGY)
    stage.until(stage.done, "everything is stored")
    worker.terminate()
    assert worker.wait(END_S) == 0
    found = dict(rows(stage.store.engine))
    letters = [row for row in found["dead_letters"] if row[0] == "HANDLER_ERROR"]
    assert len(letters) == len(failing) > 0
    for _, text, source_topic, *_, raw, _, _, _, _, _, _, _ in letters:
        assert text == "internal error; three attempts failed: RuntimeError: a bug"
        assert (source_topic, base64.b64decode(raw)) in failing
    other = Store.open(f"sqlite:///{tmp_path / 'other.db'}")
    other.prepare()
    outputs.write_to(other)
    expected = rows(other.engine)
    other.close()
    for table in ("results", "breaks", "break_events"):
        assert found[table] == [row for row in expected[table] if "T-7" not in row]


def test_a_damaged_database_makes_no_record_a_dead_letter(stage: Stage) -> None:
    stage.publish(simulated_outputs(20))
    stage.store.take(MicroBatch(TOPICS.reconciled, 0, stage.log.read(TOPICS.reconciled, 0, 0, 1)))
    with stage.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = sql || ' WHERE version < 0' WHERE name = 'results_by_event_time'"
        )
        connection.commit()
    letters = [stage.log.end(TOPICS.dead_letters, at) for at in range(PARTITIONS)]
    codes = [SOFTWARE_ERROR]
    while codes[-1] == SOFTWARE_ERROR:
        codes.append(stage.start("-c", BUGGY).wait(END_S))
    assert codes[-1] == CONFIG
    assert "t.db: the file is damaged" in stage.worker_log
    assert [stage.log.end(TOPICS.dead_letters, at) for at in range(PARTITIONS)] == letters


def test_a_stopped_worker_leaves_a_single_file(stage: Stage, tmp_path: Path) -> None:
    stage.publish(simulated_outputs(300))
    queries = Queries.open(f"sqlite:///{stage.directory / 't.db'}")
    worker = stage.start()
    stage.until(stage.done, "everything is stored")
    assert queries.count(TradeFilter()) == 300  # and the connection stays open
    worker.terminate()
    assert worker.wait(END_S) == 0
    shutil.copy(stage.directory / "t.db", tmp_path / "copy.db")
    copy = Store.open(f"sqlite:///{tmp_path / 'copy.db'}")
    assert rows(copy.engine) == rows(stage.store.engine)
    assert copy.offsets() == stage.store.offsets()
    copy.close()
    queries.close()


def test_a_sink_that_was_overtaken_ends_the_process(stage: Stage) -> None:
    outputs = simulated_outputs(50)
    stage.start()
    stage.until(lambda: "Worker ready" in stage.worker_log, "the worker is ready")
    stage.store.take(outputs.batch((TOPICS.reconciled, 0), 0, 5))
    stage.publish(outputs)
    assert stage._workers[-1].wait(END_S) == SOFTWARE_ERROR
    assert "another sink has taken over" in stage.worker_log
