"""Group commit: pending calls share a transaction, and each caller gets its own results in order."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import chain
from pathlib import Path

import pytest
from broker.waiting import until

from traderecon.transport.log import Busy, Entry, Log, NoSuchPartition, RecordRejected, Sync, Writer
from traderecon.transport.log.writer import MAX_RECORDS

END_S = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    with Log.open(path, sync=Sync.NORMAL, patience_s=0.05) as log:
        log.create("legs", 2)
        log.create("facts", 1, compacted=True)
        yield log


@pytest.fixture
def writer(log: Log) -> Iterator[Writer]:
    writer = Writer(log)
    yield writer
    writer.close()


def entries(*values: bytes) -> list[Entry]:
    return [(None, value, 0, ()) for value in values]


@pytest.fixture
def write_lock(path: Path, log: Log) -> Iterator[sqlite3.Connection]:
    """Another connection that holds the write lock until it commits."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_every_append_gets_its_own_offset(log: Log, writer: Writer) -> None:
    appended = [writer.append("legs", number % 2, entries(b"%d" % number)) for number in range(100)]
    assert [future.result(END_S) for future in appended] == [number // 2 for number in range(100)]
    assert [record.value for record in log.read("legs", 1, 0, 100)] == [b"%d" % number for number in range(1, 100, 2)]


def test_pending_requests_share_one_transaction(log: Log, writer: Writer, write_lock: sqlite3.Connection) -> None:
    written: list[int] = []
    writer.listen(lambda: written.append(log.end("legs", 0)))
    appended = [writer.append("legs", 0, entries(b"first"))]
    appended += [writer.append("legs", 0, entries(b"%d" % number)) for number in range(500)]
    committed = writer.commit("matching", {("legs", 0): 7})
    assert not any(future.done() for future in appended)
    assert not committed.done()
    write_lock.execute("COMMIT")
    assert [future.result(END_S) for future in appended] == list(range(501))
    committed.result(END_S)
    # The first may have been written alone, before the others were queued.
    assert written[-1] == 501
    assert len(written) <= 2
    assert log.committed("matching", [("legs", 0)]) == {("legs", 0): 7}


def test_a_transaction_has_a_bound(log: Log, writer: Writer, write_lock: sqlite3.Connection) -> None:
    written: list[int] = []
    writer.listen(lambda: written.append(log.end("legs", 0)))
    half = entries(*[b""] * (MAX_RECORDS // 2))
    appended = [writer.append("legs", 0, half) for _ in range(6)]
    write_lock.execute("COMMIT")
    assert appended[-1].result(END_S) == 5 * len(half)
    assert max(after - before for before, after in zip([0, *written], written, strict=False)) <= MAX_RECORDS


def test_a_failed_request_does_not_fail_the_others(log: Log, writer: Writer, write_lock: sqlite3.Connection) -> None:
    first = writer.append("legs", 0, entries(b"a"))
    nowhere = writer.append("legs", 2, entries(b"b"))
    keyless = writer.append("facts", 0, entries(b"c"))
    last = writer.append("legs", 0, entries(b"d"))
    uncommitted = writer.commit("matching", {("trades", 0): 1})
    committed = writer.commit("matching", {("legs", 0): 1})
    write_lock.execute("COMMIT")
    assert (first.result(END_S), last.result(END_S)) == (0, 1)
    with pytest.raises(NoSuchPartition):
        nowhere.result(END_S)
    with pytest.raises(RecordRejected):
        keyless.result(END_S)
    with pytest.raises(NoSuchPartition):
        uncommitted.result(END_S)
    committed.result(END_S)
    assert [record.value for record in log.read("legs", 0, 0, 10)] == [b"a", b"d"]


def test_a_request_cancelled_in_time_is_not_written(log: Log, writer: Writer, write_lock: sqlite3.Connection) -> None:
    appended = [writer.append("legs", 0, entries(b"0"))]
    until(appended[0].running, "the writer has begun")
    while not (late := writer.append("legs", 0, entries(b"%d" % len(appended)))).cancel():
        appended.append(late)
    last = writer.append("legs", 0, entries(b"last"))
    write_lock.execute("COMMIT")
    assert last.result(END_S) == len(appended)
    written = [record.value for record in log.read("legs", 0, 0, 10)]
    assert written == [*(b"%d" % number for number in range(len(appended))), b"last"]


def test_threads_keep_their_order(log: Log, writer: Writer) -> None:
    futures: list[list[Future[int]]] = [[] for _ in range(4)]

    def append(number: int) -> None:
        for index in range(200):
            futures[number].append(writer.append("legs", 0, entries(b"%d %d" % (number, index))))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    offsets = [[future.result(END_S) for future in mine] for mine in futures]
    assert all(mine == sorted(mine) for mine in offsets)
    assert sorted(chain.from_iterable(offsets)) == list(range(800))
    records = log.read("legs", 0, 0, 1_000)
    for number, mine in enumerate(offsets):
        assert [records[offset].value for offset in mine] == [b"%d %d" % (number, index) for index in range(200)]


def test_closing_writes_pending_requests(log: Log) -> None:
    writer = Writer(log)
    appended = [writer.append("legs", 0, entries(b"%d" % number)) for number in range(50)]
    writer.close()
    assert [future.result(0) for future in appended] == list(range(50))
    writer.close()


def test_closing_waits_for_another_process_once(log: Log, write_lock: sqlite3.Connection) -> None:
    writer = Writer(log)
    appended = writer.append("legs", 0, entries(b"a"))
    writer.close()
    with pytest.raises(Busy):
        appended.result(0)
    write_lock.execute("COMMIT")
    assert log.end("legs", 0) == 0


def test_removed_listeners_are_not_called(writer: Writer) -> None:
    called: list[str] = []
    all_called = threading.Semaphore(0)

    def leaver() -> None:
        called.append("leaver")

    def stayer() -> None:
        called.append("stayer")
        all_called.release()

    writer.listen(leaver)
    writer.listen(stayer)
    writer.append("legs", 0, entries(b"a"))
    assert all_called.acquire(timeout=END_S)
    writer.forget(leaver)
    writer.append("legs", 0, entries(b"b"))
    assert all_called.acquire(timeout=END_S)
    assert called == ["leaver", "stayer", "stayer"]
