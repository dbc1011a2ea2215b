"""The store: the rows do not depend on the order of reading, on repetition, or on kills."""

import hashlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import SECOND_NS, arrived, booked, ours, theirs
from msgspec.structs import replace
from programs import program
from sink.outputs import (
    LEGS,
    PARTITIONS,
    TOPICS,
    Outputs,
    encoded_dead_letter,
    encoded_status,
    results_of,
    rows,
    simulated_outputs,
)

from traderecon.audit import database
from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.database import open_for_audit
from traderecon.audit.findings import Kind as Finding
from traderecon.audit.verify import examine
from traderecon.matching.closed import late_leg_result
from traderecon.records import Break, Fact, Kind, Leg, Result, Transition, break_id, identity
from traderecon.records.checkpoint import TopicPartition
from traderecon.records.instants import NS_PER_MS
from traderecon.records.result_message import encode_result
from traderecon.rules import FOUNDING
from traderecon.sink.chain import START
from traderecon.sink.decoding import ForeignRecord
from traderecon.sink.log_identity import bound_topics
from traderecon.sink.store import Fenced, Store
from traderecon.tables import facts
from traderecon.topics import topics
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record

KILLS = 30
HOSTILE = (
    "'; DROP TABLE results; --",
    '"quoted" and \\ back',
    "zażółć 📈",
    "\u202eright to left",
    "a\u0301 é",
    "\x01\t\r\n",
    "NULL",
    "%s ? :x {}",
    " ",
)


def fresh(path: Path) -> Store:
    store = Store.open(f"sqlite:///{path}")
    store.prepare()
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = fresh(tmp_path / "t.db")
    yield made
    made.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied: each example needs two."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    fresh(path).close()
    return path


def table(store: Store, name: str) -> list[dict[str, Any]]:
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()]


def one(store: Store, name: str) -> dict[str, Any]:
    [row] = table(store, name)
    return row


def published(store: Store, results: list[Result], *, backwards: bool = False) -> None:
    """Publish results in order, and read the topics, ``reconciled`` first where ``backwards``."""
    outputs = Outputs()
    for result, before in zip(results, [None, *results], strict=False):
        outputs.publish(result, before)
    for tp in sorted(outputs.partitions, reverse=backwards):
        store.take(outputs.batch(tp, 0, 1_000))


def test_a_database_bound_to_no_log_yet_knows_its_topics_by_what_it_has_read(store: Store) -> None:
    """It is from before the log was recorded; `audit verify` may come before the first worker."""
    with store.engine.connect() as connection, connection.begin():
        assert bound_topics(connection) == TOPICS
        connection.exec_driver_sql("INSERT INTO sink_offsets VALUES ('x.reconciled', 0, 1, ?)", (START,))
        assert bound_topics(connection) == topics("x.")
    with closing(sqlite3.connect(store.path)) as file:
        assert database.bound_topics(file) == topics("x.")


def recomputed(outputs: Outputs) -> dict[TopicPartition, str]:
    """The head of every chain, computed from the topics alone."""
    heads = {}
    dead_letters: set[tuple[str, int, int]] = set()
    for (topic, partition), records in outputs.partitions.items():
        head, seen = START, set[tuple[int, str]]()
        for record in records:
            assert record.value
            message = json.loads(record.value)
            if topic == TOPICS.standings:
                continue
            if topic == TOPICS.dead_letters:
                origin = (message["topic"], message["partition"], message["offset"])
                if origin in dead_letters:
                    continue
                dead_letters.add(origin)
            else:
                broken = message["state"] in {"MISMATCHED", "UNMATCHED"}
                if broken != (topic == TOPICS.mismatch) or (message["version"], message["event_id"]) in seen:
                    continue
                seen.add((message["version"], message["event_id"]))
            content = hashlib.sha256(record.value).hexdigest()
            head = hashlib.sha256(f"{head} {topic} {partition} {record.offset} {content}".encode()).hexdigest()
        heads[topic, partition] = head
    return heads


def heads(store: Store) -> dict[TopicPartition, str]:
    return {(row["topic"], row["partition"]): row["head"] for row in table(store, "sink_offsets")}


@given(
    lives=st.lists(
        st.tuples(st.lists(st.sampled_from(LEGS), min_size=1, max_size=6), st.booleans()), min_size=1, max_size=6
    ),
    seed=st.integers(0, 2**32),
)
def test_the_rows_do_not_depend_on_order_or_repetition(
    empty: Path, lives: list[tuple[list[Leg], bool]], seed: int
) -> None:
    outputs, rng = Outputs(seed), random.Random(seed)
    for number, (legs, again) in enumerate(lives):
        outputs.publish_trade(f"T{number}", legs, again=again)
    outputs.publish_others(4)
    with in_copy(empty, "in-order") as in_order, in_copy(empty, "shuffled") as shuffled:
        outputs.write_to(in_order)
        at = dict.fromkeys(outputs.partitions, 0)
        while left := [tp for tp, records in outputs.partitions.items() if at[tp] < len(records)]:
            tp = rng.choice(left)
            first = max(0, at[tp] - rng.choice((0, 0, 1, 3)))
            batch = outputs.batch(tp, first, rng.randint(1, 6))
            shuffled.take(batch)
            at[tp] = max(at[tp], first + len(batch))
            if rng.random() < 0.1:
                shuffled.offsets()  # as a sink does when its partitions are assigned again
        assert rows(shuffled.engine) == rows(in_order.engine)
        assert heads(shuffled) == recomputed(outputs)
        assert shuffled.offsets() == outputs.next_offsets


@contextmanager
def in_copy(empty: Path, name: str) -> Iterator[Store]:
    """A store on a temporary copy of an empty database."""
    path = empty.with_name(f"{name}.db")
    shutil.copy(empty, path)
    store = Store.open(f"sqlite:///{path}")
    try:
        yield store
    finally:
        store.close()
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)


@pytest.mark.matrix("K9")
def test_a_sink_killed_again_and_again_loses_nothing_and_doubles_nothing(tmp_path: Path, store: Store) -> None:
    trades = 2_000
    done = program("sink.taking", f"sqlite:///{tmp_path / 'killed.db'}", str(trades), str(KILLS))
    assert (done.returncode, done.stdout) == (0, f"{KILLS}\n"), done.stderr
    outputs = simulated_outputs(trades)
    outputs.write_to(store)
    survivor = Store.open(f"sqlite:///{tmp_path / 'killed.db'}")
    assert rows(survivor.engine) == rows(store.engine)
    assert heads(survivor) == recomputed(outputs)
    assert survivor.offsets() == outputs.next_offsets
    survivor.close()


@pytest.mark.matrix("Z1")
def test_a_sink_that_was_overtaken_stops(tmp_path: Path, store: Store) -> None:
    outputs = simulated_outputs(50)
    tp = (TOPICS.mismatch, 0)
    other = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    assert store.offsets() == other.offsets() == {}
    assert store.take(outputs.batch(tp, 0, 10)).rows
    before = rows(store.engine)
    with pytest.raises(
        Fenced,
        match=r"mismatch\[0\]: this sink expects no record of it.*, but the database is at offset",
    ):
        other.take(outputs.batch(tp, 0, 20))
    assert rows(store.engine) == before
    other.offsets()
    other.take(outputs.batch(tp, 0, 20))
    with pytest.raises(Fenced):
        store.take(outputs.batch(tp, 10, 10))
    store.offsets()
    assert store.take(outputs.batch(tp, 10, 10)).rows == 0
    outputs.write_to(store)
    assert heads(store) == recomputed(outputs)
    other.close()


def test_a_batch_that_fails_in_part_is_not_written_at_all(store: Store) -> None:
    outputs = simulated_outputs(20)
    tp = (TOPICS.reconciled, 0)
    outputs.append(*tp, b"T", b'{"event_id": "e"}')
    before = rows(store.engine)
    with pytest.raises(ForeignRecord, match=r"^reconciled\[0\] offset \d+, key b'T': .*missing required field"):
        store.take(outputs.batch(tp, 0, 1_000))
    assert rows(store.engine) == before
    assert store.offsets() == {}


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b'{"state": "PENDING"}'])
@pytest.mark.parametrize("topic", TOPICS.outputs)
def test_a_foreign_record_is_reported_with_its_coordinates(store: Store, topic: str, value: bytes | None) -> None:
    with pytest.raises(ForeignRecord, match=rf"^{topic}\[3\] offset 17, key None: "):
        store.take(MicroBatch(topic, 3, [Record(17, 0, None, value, ())]))


@pytest.mark.parametrize(
    ("original", "changed"),
    [
        (b'"price":"190.5"', b'"price":"a lot"'),
        (b'"price":"190.5"', b'"price":"NaN"'),
        (b'"price":"190.5"', b'"price":"1E+999999"'),
        (b'"version":1,"state"', b'"version":9223372036854775808,"state"'),
        (b'"version":1,"state"', b'"version":-1,"state"'),
        (b'"received_at":"2025-07-26T10:01:23Z"', b'"received_at":"2025-07-26T10:01:23"'),
        (b'"name":"founding"', b'"name":"\xff"'),
    ],
)
def test_a_result_that_does_not_fit_a_row_can_be_skipped(store: Store, original: bytes, changed: bytes) -> None:
    good = encode_result(results_of("T1", [ours()])[0])
    assert original in good
    records = [Record(0, 0, b"T1", good.replace(original, changed, 1), ()), Record(1, 0, b"T1", good, ())]
    batch = MicroBatch(TOPICS.mismatch, 0, records)
    with pytest.raises(ForeignRecord, match=r"mismatch\[0\] offset 0") as found:
        store.take(batch)
    assert found.value.record is records[0]
    assert store.take(batch, {0}).rows == 1
    assert one(store, "result_history")["offset"] == 1


def test_a_batch_of_rejected_records_advances_the_offset(store: Store) -> None:
    batch = MicroBatch(TOPICS.mismatch, 0, [Record(4, 0, b"T1", b"{}", ())])
    assert store.take(batch, {4}).rows == 0
    assert store.offsets() == {(TOPICS.mismatch, 0): 5}


def test_a_closed_store_has_everything_in_its_file(tmp_path: Path) -> None:
    store, readers = fresh(tmp_path / "t.db"), Store.open(f"sqlite:///{tmp_path / 't.db'}")
    simulated_outputs(200).write_to(store)
    expected = rows(readers.engine)
    store.close()
    store.close()
    shutil.copy(tmp_path / "t.db", tmp_path / "copy.db")
    copy = Store.open(f"sqlite:///{tmp_path / 'copy.db'}")
    assert rows(copy.engine) == expected
    for each in (copy, readers):
        each.close()


def test_an_open_reader_does_not_block_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traderecon.sink.database.FINAL_CHECKPOINT_WAIT_MS", 20)
    store, readers = fresh(tmp_path / "t.db"), Store.open(f"sqlite:///{tmp_path / 't.db'}")
    with readers.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM results").scalar() == 0
        simulated_outputs(200).write_to(store)
        store.close()
        assert connection.exec_driver_sql("SELECT count(*) FROM results").scalar() == 0
    assert len(table(readers, "results")) == 200
    readers.close()


def test_pending_is_not_a_result(store: Store) -> None:
    value = encode_result(results_of("T1", [ours()])[0]).replace(b'"UNMATCHED"', b'"PENDING"')
    with pytest.raises(ForeignRecord, match=r"mismatch\[0\] offset 0, key b'T1': Invalid enum value 'PENDING'"):
        store.take(MicroBatch(TOPICS.mismatch, 0, [Record(0, 0, b"T1", value, ())]))


def test_a_foreign_topic_is_rejected(store: Store) -> None:
    with pytest.raises(ValueError, match="legs is not a topic that a sink reads"):
        store.take(MicroBatch("legs", 0, [Record(0, 0, None, b"{}", ())]))


def test_hostile_text_is_stored_unchanged(store: Store) -> None:
    results = [results_of(text, [ours(ticker=text), theirs(price="191", ticker=text)])[-1] for text in HOSTILE]
    records = [Record(at, 0, None, encode_result(result), ()) for at, result in enumerate(results)]
    store.take(MicroBatch(TOPICS.mismatch, 0, records))
    dead_letters = [Record(at, 0, None, encoded_dead_letter(at, text), ()) for at, text in enumerate(HOSTILE)]
    store.take(MicroBatch(TOPICS.dead_letters, 0, dead_letters))
    for name in ("results", "breaks"):
        assert {row["trade_id"]: row["ticker"] for row in table(store, name)} == dict(
            zip(HOSTILE, HOSTILE, strict=True)
        )
    assert [row["result"].encode() for row in table(store, "result_history")] == [record.value for record in records]
    assert [row["text"] for row in table(store, "dead_letters")] == list(HOSTILE)


def test_a_matched_trade(store: Store) -> None:
    [_, result] = results_of("T1", [ours(price="-190.505", quantity="3"), theirs(price="-190.50", quantity="3")])
    store.bind("log-1", "desk.")
    taken = store.take(
        MicroBatch("desk.reconciled", 1, [Record(7, 1_753_524_084_250, b"T1", encode_result(result), ())])
    )
    assert taken == (1, 0, [SECOND_NS + NS_PER_MS])
    assert one(store, "results") == {
        "trade_id": "T1",
        "version": 2,
        "state": "MATCHED",
        "reasons": "[]",
        "hints": json.dumps(result.verdict.hints, separators=(",", ":")),
        "event_id": result.event_id,
        "event_time": "2025-07-26T10:01:23Z",
        "decided_at": "2025-07-26T10:01:24.250Z",
        "ticker": "AAPL",
        "notional": "571.515",
        "severity": None,
        "currency": None,
        "at_stake": None,
        "agreed": 4,
        "sent_by_both": 4,
    }
    assert one(store, "sink_offsets")["next_offset"] == 8
    assert table(store, "breaks") == []  # the result that opened it is on the other topic, and not read yet


@pytest.mark.parametrize("backwards", [False, True])
def test_a_break_opens_is_resolved_and_opens_again(store: Store, *, backwards: bool) -> None:
    lives = results_of("T1", [ours(), theirs(price="191"), theirs(version=2), theirs(version=3, quantity="90")])
    assert [result.break_.transition for result in lives] == ["opened", "reclassified", "resolved", "opened"]
    published(store, lives, backwards=backwards)
    row = one(store, "breaks")
    assert (row["status"], row["state"], row["version"]) == ("REOPENED", "MISMATCHED", 4)
    assert (row["reasons"], row["severity"]) == ('["QUANTITY_MISMATCH"]', "high")
    events = table(store, "break_events")
    assert sorted(event["version"] for event in events) == [1, 2, 3, 4]
    last = max(events, key=lambda event: event["version"])
    assert row["opened_at"] == row["changed_at"] == last["at"]
    assert (row["resolved_at"], row["event_id"], row["notional"]) == (None, last["event_id"], "19050")
    assert last["previous_event_id"] == lives[2].event_id


@pytest.mark.parametrize("backwards", [False, True])
def test_a_late_confirmation_resolves_the_break(store: Store, *, backwards: bool) -> None:
    lives = results_of("T1", [ours(), theirs(ticker="AAPL")])
    published(store, lives, backwards=backwards)
    row = one(store, "breaks")
    assert (row["status"], row["state"], row["reasons"]) == ("RESOLVED", "MATCHED", '["MISSING_CONFIRMATION"]')
    assert row["resolved_at"] == row["changed_at"] > row["opened_at"]
    assert row["resolution"] == "LATE_ARRIVAL"
    events = sorted(table(store, "break_events"), key=lambda event: event["version"])
    assert [event["resolution"] for event in events] == [None, "LATE_ARRIVAL"]
    assert one(store, "results")["state"] == "MATCHED"
    assert [row["topic"] for row in sorted(table(store, "result_history"), key=lambda row: row["version"])] == [
        "mismatch",
        "reconciled",
    ]


def test_the_first_of_two_results_with_one_version_stays(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, second = results_of("T1", [ours()])[0], results_of("T1", [ours(price="7")])[0]
    records = [
        Record(at, 0, b"T1", encode_result(result), ()) for at, result in enumerate((first, second, first, second))
    ]
    assert store.take(MicroBatch(TOPICS.mismatch, 0, records)) == (2, 1, [])
    assert "trade 'T1' has version 1 already" in caplog.text
    assert one(store, "results")["event_id"] == one(store, "breaks")["event_id"] == first.event_id
    third = results_of("T1", [ours(price="8")])[0]
    assert store.take(MicroBatch(TOPICS.mismatch, 0, [Record(9, 0, b"T1", encode_result(third), ())])).conflicts == 1
    assert len(table(store, "result_history")) == 3


@pytest.mark.parametrize("backwards", [False, True])
def test_a_break_is_resolved_by_a_worker_that_did_not_know_of_it(store: Store, *, backwards: bool) -> None:
    """A worker paused past its session may not know that the grace had ended: its result has no transition."""
    opened, resolved = results_of("T1", [ours(), theirs()])
    stale = replace(resolved, break_=Break(resolved.break_.id, Transition.NONE))
    published(store, [opened, stale], backwards=backwards)
    assert (one(store, "breaks")["status"], len(table(store, "break_events"))) == ("RESOLVED", 2)
    again = Record(9, 0, b"T1", encode_result(resolved), ())
    assert store.take(MicroBatch(TOPICS.reconciled, 0, [again])) == (0, 0, [])


def test_an_event_with_other_content_is_a_conflict(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    value = encode_result(results_of("T1", [ours()])[0])
    assert store.take(MicroBatch(TOPICS.mismatch, 0, [Record(0, 0, b"T1", value, ())])).conflicts == 0
    again = [Record(1, 5, b"T1", value, ()), Record(2, 0, b"T1", value.replace(b"AAPL", b"MSFT"), ())]
    assert store.take(MicroBatch(TOPICS.mismatch, 0, again)) == (0, 1, [])
    assert "mismatch[0] offset 2: event" in caplog.text
    assert one(store, "result_history")["offset"] == 0


def orphans(offset: int, version: int) -> Record:
    """A leg that arrives again for a trade that was closed at that version."""
    fact = arrived(ours(price="190.5"))[0]
    late = late_leg_result(
        fact.leg.trade_id, version, [facts.StoredFact(identity(fact.leg), fact, version)], None, FOUNDING
    )
    return Record(offset, offset, b"T1", encode_result(late), ())


@pytest.mark.matrix("S14")
def test_a_leg_that_comes_again_after_a_second_retention_is_a_result_of_its_own(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    several = [orphans(at, version) for at, version in enumerate((3, 7, 3, 7))]
    assert store.take(MicroBatch(TOPICS.mismatch, 0, several)) == (2, 0, [])
    assert store.take(MicroBatch(TOPICS.mismatch, 0, [orphans(4, 11), orphans(5, 7)])) == (1, 0, [])
    assert caplog.text == ""
    assert [row["version"] for row in table(store, "result_history")] == [4, 8, 12]
    assert len({row["event_id"] for row in table(store, "result_history")}) == 1
    assert (one(store, "results")["version"], one(store, "breaks")["status"]) == (12, "OPEN")
    assert len(table(store, "break_events")) == 1, "the same break, opened once"
    with open_for_audit(f"sqlite:///{store.path}") as connection:
        found = examine(connection, CheckpointSet()).findings
        assert [each for each in found if each.kind is not Finding.CHECKPOINT] == []


@pytest.mark.parametrize("foreign_id", ["b1", break_id("T2"), break_id("T3")])
def test_a_foreign_break_of_an_earlier_version_is_in_the_way_of_no_result(
    store: Store, monkeypatch: pytest.MonkeyPatch, foreign_id: str
) -> None:
    """It was stored under the id that it came with: another trade's, or one that is nobody's."""
    results = {trade: results_of(trade, [ours(), ours(version=2)]) for trade in ("T1", "T2", "T3")}
    ids = {"T1": foreign_id, "T3": "b3"}
    foreign = [replace(results[trade][0], break_=Break(id_, Transition.OPENED)) for trade, id_ in ids.items()]

    def take(first: int, *some: Result) -> None:
        records = [Record(first + at, 0, b"T", encode_result(result), ()) for at, result in enumerate(some)]
        store.take(MicroBatch(TOPICS.mismatch, 0, records))

    with monkeypatch.context() as before:
        before.setattr("traderecon.sink.results.require_publishable", lambda head: None)
        before.setattr("traderecon.sink.results._remove_foreign_breaks", lambda connection, trades: trades)
        before.setattr("traderecon.sink.break_projection.break_id", ids.__getitem__)
        take(0, *foreign)
    assert {row["break_id"] for row in table(store, "breaks")} == {foreign_id, "b3"}
    take(2, *results["T2"], *([] if foreign_id == break_id("T2") else [results["T1"][1]]))
    take(9, results["T3"][1])
    trades = ("T1", "T2", "T3")
    assert {row["trade_id"]: row["break_id"] for row in table(store, "breaks")} == {
        one: break_id(one) for one in trades
    }
    events = table(store, "break_events")
    assert sorted((row["trade_id"], row["break_id"]) for row in events) == [(one, break_id(one)) for one in trades]
    with open_for_audit(f"sqlite:///{store.path}") as connection:
        found = examine(connection, CheckpointSet()).findings
    assert [each for each in found if each.kind not in {Finding.CHECKPOINT, Finding.CHANGED}] == []


@pytest.mark.matrix("S14")
def test_a_trade_that_was_matched_in_between_breaks_again_on_the_same_evidence(store: Store) -> None:
    matched = replace(results_of("T1", [ours(), theirs()])[-1], version=6)
    store.take(MicroBatch(TOPICS.mismatch, 0, [orphans(0, 3)]))
    store.take(MicroBatch(TOPICS.reconciled, 0, [Record(0, 5, b"T1", encode_result(matched), ())]))
    assert one(store, "breaks")["status"] == "RESOLVED"
    store.take(MicroBatch(TOPICS.mismatch, 0, [orphans(1, 7)]))
    assert (one(store, "results")["state"], one(store, "breaks")["status"]) == ("UNMATCHED", "REOPENED")


def test_unknown_fields_are_ignored(store: Store) -> None:
    message = json.loads(encode_result(results_of("T1", [ours(), theirs(), booked("1")])[-1]))
    message |= {"approved_by": {"name": "a"}, "": None}
    message["legs"]["actions"] = [{"kind": "approve"}]
    message["legs"]["executions"][0]["payload"]["venue"] = [1.5]
    value = json.dumps(message).encode()
    assert store.take(MicroBatch(TOPICS.mismatch, 0, [Record(0, 0, b"T1", value, ())])).rows == 1
    assert one(store, "result_history")["result"].encode() == value


def test_the_effective_leg_gives_ticker_and_notional(store: Store) -> None:
    legs: list[Leg] = [ours(), ours(version=2, price="0.000000000000000001", ticker="MSFT", kind=Kind.AMEND), theirs()]
    store.take(MicroBatch(TOPICS.mismatch, 0, [Record(0, 0, None, encode_result(results_of("T1", legs)[-1]), ())]))
    row = one(store, "results")
    assert (row["ticker"], row["notional"]) == ("MSFT", "0.0000000000000001")
    assert json.loads(row["reasons"]) == ["PRICE_MISMATCH", "TICKER_MISMATCH"]
    assert row["severity"] == "critical"


def test_no_digit_of_an_amount_is_lost(store: Store) -> None:
    legs = [ours(price="-123456789012345678.123456789012345678", quantity="999999999999999999.000000000000000001")]
    store.take(MicroBatch(TOPICS.mismatch, 0, [Record(0, 0, None, encode_result(results_of("T1", legs)[-1]), ())]))
    exact = 123456789012345678_123456789012345678 * 999999999999999999_000000000000000001
    assert one(store, "results")["notional"] == f"{exact // 10**36}.{exact % 10**36:036d}".rstrip("0")


def test_a_dead_letter_is_stored_once(store: Store) -> None:
    batch = [Record(at, 0, None, encoded_dead_letter(origin), ()) for at, origin in enumerate((4, 4, 5))]
    assert store.take(MicroBatch(TOPICS.dead_letters, 0, batch)).rows == 2
    assert (
        store.take(MicroBatch(TOPICS.dead_letters, 0, [Record(3, 0, None, encoded_dead_letter(5, "again"), ())])).rows
        == 0
    )
    elsewhere = Record(4, 0, None, encoded_dead_letter(5, topic="pnl_snapshot"), ())
    assert store.take(MicroBatch(TOPICS.dead_letters, 0, [elsewhere])).rows == 1
    places = [(row["source_topic"], row["source_offset"], row["offset"]) for row in table(store, "dead_letters")]
    assert places == [("executions", 4, 0), ("executions", 5, 2), ("pnl_snapshot", 5, 4)]


def test_a_dead_letter_of_another_record_at_the_same_offset_is_an_error_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """After the input was recreated. The database has one dead letter per offset; a second is logged."""
    other = encoded_dead_letter(4).replace(b"0" * 64, b"1" * 64)
    for at in (0, 2):  # of one batch, and of another
        batch = [Record(at, 0, None, encoded_dead_letter(4), ()), Record(at + 1, 0, None, other, ())]
        store.take(MicroBatch(TOPICS.dead_letters, 0, batch))
    assert len(table(store, "dead_letters")) == 1
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [error.partition(" has the dead letter of another record")[0] for error in errors] == [
        "dead_letters[0] offset 1: executions[0] offset 4",
        "dead_letters[0] offset 3: executions[0] offset 4",
    ]


def test_the_newest_partition_status_is_stored(store: Store) -> None:
    batch = [Record(at, at, b"1", encoded_status(1, pending), ()) for at, pending in enumerate((3, 1, 0))]
    assert store.take(MicroBatch(TOPICS.standings, 1, batch)).rows == 1
    row = one(store, "standings")
    assert (row["partition"], row["watermark"], row["at"]) == (1, "2025-07-26T10:01:23Z", "1970-01-01T00:00:00.002Z")
    assert json.loads(row["pending"]) == {"confirmation": 0, "execution": 0, "pnl": 0}
    assert json.loads(row["oldest"]) == []
    assert heads(store) == {("standings", 1): START}


def test_amounts_and_times_are_text(store: Store) -> None:
    simulated_outputs(50).write_to(store)
    with store.engine.connect() as connection:
        for name in ("results", "breaks"):
            kinds = connection.exec_driver_sql(
                f"SELECT DISTINCT typeof(notional), typeof(event_time) FROM {name}"
            ).all()
            assert kinds == [("text", "text")]


def test_the_simulated_outputs_cover_every_case() -> None:
    """The premises of these tests: repeats, copies, gaps, and breaks of every kind."""
    outputs = simulated_outputs(400)
    message = [msgspec.json.decode(one.value or b"") for tp in outputs.partitions for one in outputs.partitions[tp]]
    seen = {one["break"]["transition"] for one in message if "break" in one}
    assert seen == {"opened", "reclassified", "resolved", "none"}
    assert {one["state"] for one in message if "state" in one} == {"MATCHED", "MISMATCHED", "UNMATCHED", "CANCELLED"}
    assert len(outputs.partitions) == 4 * PARTITIONS
    assert any(records[-1].offset >= len(records) for records in outputs.partitions.values())
    assert isinstance(results_of("T", [ours()])[0].facts[0], Fact)
