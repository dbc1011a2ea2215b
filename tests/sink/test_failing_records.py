"""A record on which the sink fails is found in its batch; an error of the database is no record's."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from legs import ours
from sink.outputs import TOPICS, encoded_dead_letter, encoded_status, results_of, rows, simulated_outputs
from sqlalchemy import Connection

import traderecon.sink.results
import traderecon.sink.store
from traderecon.records.formats import OtherFormat
from traderecon.records.partition_status import to_columns
from traderecon.records.result_message import encode_result
from traderecon.sink.database import StoreError
from traderecon.sink.decoding import FailingRecord, ForeignRecord
from traderecon.sink.statements import Statements
from traderecon.sink.store import Fenced, Store
from traderecon.sink.write_result import Feed, WriteResult
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record

TP = (TOPICS.mismatch, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    yield store
    store.close()


def breaks(count: int, first: int = 0) -> list[Record]:
    return [
        Record(number, number, b"T", encode_result(results_of(f"T{number}", [ours()])[0]), ())
        for number in range(first, first + count)
    ]


def fail(monkeypatch: pytest.MonkeyPatch, failing: Callable[[Feed], Exception | None]) -> None:
    """Make the handler of results fail after it has written some batches."""
    write = traderecon.sink.results.write_results

    def buggy(connection: Connection, sql: Statements, feed: Feed, *, breaks: bool) -> tuple[WriteResult, str]:
        written = write(connection, sql, feed, breaks=breaks)
        if (error := failing(feed)) is not None:
            raise error
        return written

    monkeypatch.setattr(traderecon.sink.store, "write_results", buggy)


@pytest.mark.parametrize("offset", [0, 1, 7, 18, 19])
def test_a_bug_is_traced_to_its_record(store: Store, monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    fail(monkeypatch, lambda feed: KeyError("bug") if offset in {record.offset for record in feed.records} else None)
    batch, before = MicroBatch(*TP, breaks(20)), rows(store.engine)
    with pytest.raises(FailingRecord, match=rf"^mismatch\[0\] offset {offset}, key b'T': KeyError: 'bug'$") as found:
        store.take(batch)
    assert found.value.record.offset == offset
    assert isinstance(found.value.cause, KeyError)
    assert rows(store.engine) == before
    assert store.take(batch, {offset}).rows == 19
    assert store.offsets() == {TP: 20}


def test_of_two_records_that_fail_only_together_the_second_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, lambda feed: KeyError() if {3, 11} <= {record.offset for record in feed.records} else None)
    with pytest.raises(FailingRecord) as found:
        store.take(MicroBatch(*TP, breaks(20)))
    assert found.value.record.offset == 11


def test_every_failing_record_of_a_batch_is_found_in_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, lambda feed: KeyError() if {3, 11} & {record.offset for record in feed.records} else None)
    skip: set[int] = set()
    for offset in (3, 11):
        with pytest.raises(FailingRecord) as found:
            store.take(MicroBatch(*TP, breaks(20)), skip)
        assert found.value.record.offset == offset
        skip.add(offset)
    assert store.take(MicroBatch(*TP, breaks(20)), skip).rows == 18


@pytest.mark.parametrize("stored", [True, False])
def test_a_violated_constraint_is_traced_to_its_record(store: Store, stored: bool) -> None:
    """As before the id of a break was checked; the database of today has such a constraint too."""
    with store.engine.connect() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX one_ticker ON breaks (ticker)")
        connection.commit()
    first, second = breaks(2)
    if stored:
        store.take(MicroBatch(*TP, [first]))
    batch = MicroBatch(*TP, [second] if stored else [first, second])
    with pytest.raises(FailingRecord, match=r"offset 1, key b'T': IntegrityError: UNIQUE constraint failed") as found:
        store.take(batch)
    assert isinstance(found.value.cause, sqlite3.IntegrityError)
    store.require_undamaged()
    store.take(batch, {1})
    assert store.offsets() == {TP: 2}


def test_a_number_too_large_for_the_database_is_traced_to_its_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "traderecon.sink.partition_status.to_columns",
        lambda status: (2**70, "[]") if status.partition == 2 else to_columns(status),
    )
    records = [Record(number, 0, None, encoded_status(number, 0), ()) for number in range(4)]
    with pytest.raises(FailingRecord, match="OverflowError") as found:
        store.take(MicroBatch(TOPICS.standings, 0, records))
    assert found.value.record.offset == 2
    assert store.take(MicroBatch(TOPICS.standings, 0, records), {2}).rows == 3


def test_a_value_of_no_type_of_the_database_is_traced_to_its_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "traderecon.sink.dead_letters.link", lambda head, topic, partition, offset, value: {} if offset == 2 else head
    )
    records = [Record(number, 0, None, encoded_dead_letter(number), ()) for number in range(4)]
    with pytest.raises(FailingRecord, match="ProgrammingError: Error binding parameter") as found:
        store.take(MicroBatch(TOPICS.dead_letters, 0, records))
    assert found.value.record.offset == 2
    assert store.take(MicroBatch(TOPICS.dead_letters, 0, records), {2}).rows == 3


def test_a_bug_that_fails_on_nothing_blames_no_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, lambda feed: KeyError("always"))
    with pytest.raises(KeyError, match="always"):
        store.take(MicroBatch(*TP, breaks(3)))


def test_an_error_that_does_not_come_again_blames_no_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    once = iter([KeyError("once")])
    fail(monkeypatch, lambda feed: next(once, None))
    batch = MicroBatch(*TP, breaks(3))
    with pytest.raises(KeyError, match="once"):
        store.take(batch)
    assert store.take(batch).rows == 3


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StoreError(4, "away"), StoreError),
        (Fenced("taken over"), Fenced),
        (OtherFormat(9), OtherFormat),
        (MemoryError(), MemoryError),
        (OSError(5, "Input/output error"), OSError),
        (sqlite3.OperationalError("disk I/O error"), StoreError),
        (sqlite3.DatabaseError("database disk image is malformed"), StoreError),
    ],
    ids=repr,
)
@pytest.mark.parametrize("at_first", [True, False])
def test_an_error_of_the_database_blames_no_record(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception], at_first: bool
) -> None:
    """Neither when the batch meets it nor when its record is looked for."""
    bug = iter([] if at_first else [KeyError("bug")])
    fail(monkeypatch, lambda feed: next(bug, error) if feed.records else None)
    with pytest.raises(raised) as found:
        store.take(MicroBatch(*TP, breaks(3)))
    assert not isinstance(found.value, FailingRecord)
    assert store.offsets() == {}


def test_a_full_disk_blames_no_record(store: Store) -> None:
    store.take(MicroBatch(*TP, breaks(1)))
    with store._writing.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite makes it as many as there are
    with pytest.raises(StoreError, match="its disk is full"):
        store.take(MicroBatch(*TP, breaks(500, 1)))
    assert store.offsets() == {TP: 1}


def test_a_stored_result_that_cannot_be_read_blames_no_record(store: Store) -> None:
    opened, resolved = breaks(1)[0], encode_result(results_of("T0", [ours(), ours(version=2)])[1])
    store.take(MicroBatch(*TP, [opened]))
    with store.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE result_history SET result = '{}'")
        connection.commit()
    with pytest.raises(StoreError, match=r"trade 'T0'.*stored.*audit verify"):
        store.take(MicroBatch(*TP, [Record(1, 0, b"T", resolved, ())]))


@pytest.mark.parametrize(("column", "value"), [("gaps", "[[1"), ("next_offset", "later"), ("legs", "many")])
def test_a_stored_ledger_that_cannot_be_read_blames_no_record(store: Store, column: str, value: str) -> None:
    account = {"topic": "executions", "partition": 0, "runs": [["leg", 5]]}
    records = [Record(at, 0, b"k", json.dumps(account | {"first": at * 5}).encode(), ()) for at in range(2)]
    store.take(MicroBatch(TOPICS.accounts, 0, records[:1]))
    with store.engine.connect() as connection:
        connection.exec_driver_sql(f"UPDATE ledger SET {column} = ?", (value,))
        connection.commit()
    with pytest.raises(StoreError, match=r"executions\[0\].*ledger.*audit verify"):
        store.take(MicroBatch(TOPICS.accounts, 0, records[1:]))


def test_a_damaged_index_is_found_before_a_record_is_given_up(store: Store, tmp_path: Path) -> None:
    store.take(MicroBatch(*TP, breaks(3)))
    store.require_undamaged()
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA writable_schema = ON")
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = sql || ' WHERE version > 5' WHERE name = 'results_by_ticker'"
        )
        connection.commit()
    other = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    with pytest.raises(StoreError, match="the file is damaged") as found:
        other.require_undamaged()
    assert found.value.code == 78
    other.close()


def test_a_foreign_record_beside_a_failing_one_is_foreign(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, lambda feed: KeyError() if 0 in {record.offset for record in feed.records} else None)
    batch = MicroBatch(*TP, [*breaks(2), Record(2, 0, b"T", b"{}", ())])
    with pytest.raises(ForeignRecord) as found:
        store.take(batch)
    assert found.value.record.offset == 2
    with pytest.raises(FailingRecord):
        store.take(batch, {2})


def test_records_at_the_start_of_a_truncated_topic_are_traced_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, lambda feed: KeyError() if 5 in {record.offset for record in feed.records} else None)
    store.note_earliest({TP: 4})
    batch = MicroBatch(*TP, breaks(4, 4))
    with pytest.raises(FailingRecord) as found:
        store.take(batch)
    assert found.value.record.offset == 5
    assert store.take(batch, {5}).rows == 3


def test_the_rest_of_simulated_outputs_is_stored_whatever_record_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = simulated_outputs(60)
    [failing] = [record for record in outputs.partitions[TP] if record.value and b'"T-7"' in record.value][:1]
    fail(monkeypatch, lambda feed: KeyError() if failing in feed.records else None)
    whole = MicroBatch(*TP, outputs.partitions[TP])
    with pytest.raises(FailingRecord) as found:
        store.take(whole)
    assert found.value.record is failing
    store.take(whole, {failing.offset})
    assert store.offsets()[TP] == outputs.next_offsets[TP]
