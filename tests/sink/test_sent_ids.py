"""Trades by the trade_ids that their records were sent with, of groups and with a match key; members of a group."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from legs import booked, ours, theirs
from sink.outputs import Outputs, results_of
from web.desk import served

from traderecon.records import Kind, Leg, State
from traderecon.records.members import decode_sent_ids
from traderecon.sink import migration, purge
from traderecon.sink.database import open_engine
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store

ORDERS: dict[str, list[Leg]] = {
    "O1": [ours(member_id="F1", quantity="60"), ours(member_id="F2", quantity="40"), theirs(member_id="B1")],
    "O2": [ours(member_id="F2", quantity="40"), theirs(member_id="B2"), booked(member_id="P2")],
}
KEYED: dict[str, list[Leg]] = {
    trade_id: [ours(sent_id="V1"), theirs(sent_id="V1")] for trade_id in ("V1|broker=BRKA", "V1|broker=BRKB")
}
ROWS = [("B1", "O1"), ("B2", "O2"), ("F1", "O1"), ("F2", "O1"), ("F2", "O2"), ("P2", "O2")]
ROWS += [("V1", "V1|broker=BRKA"), ("V1", "V1|broker=BRKB")]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with two groups, and a trade whose sender has a field of its own with that name."""
    url, outputs = f"sqlite:///{tmp_path / 'traderecon.db'}", Outputs()
    for trade_id, legs in (ORDERS | KEYED).items():
        outputs.publish_trade(trade_id, legs)
    outputs.publish_trade("T1", [ours(), theirs()])
    outputs.publish_trade("T2", [ours(), theirs(price="1")])
    records = outputs.partitions
    for (topic, partition), published in [*records.items()]:
        records[topic, partition] = []
        for record in published:
            value = json.loads(record.value or b"")
            if value["trade_id"] == "T1":
                value["legs"]["executions"][0]["payload"]["member_id"] = {"desk": 7}
            outputs.append(topic, partition, record.key, json.dumps(value).encode())
    store = Store.open(url)
    store.prepare()
    outputs.write_to(store)
    store.close()
    return url


def members(url: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return database.execute("SELECT sent_id, trade_id FROM sent_ids ORDER BY 1, 2").fetchall()


def test_the_records_of_every_group_are_stored_and_no_field_of_a_sender(url: str) -> None:
    assert members(url) == ROWS
    queries = Queries.open(url)
    assert [queries.trades_with(each) for each in ("F1", "F2", "P2", "O1")] == [["O1"], ["O1", "O2"], ["O2"], []]
    queries.close()


FIRST, SECOND = ours(member_id="F1", quantity="60"), ours(member_id="F2", quantity="40")
ALL = theirs(member_id="B1")


@pytest.mark.parametrize(
    ("legs", "resolution"),
    [
        ([FIRST, ALL, SECOND], "LATE_ARRIVAL"),
        ([FIRST, SECOND, theirs(member_id="B1", quantity="70"), theirs(member_id="B2", quantity="30")], "LATE_ARRIVAL"),
        ([FIRST, ALL, ours(member_id="F1", version=2)], "AMENDMENT"),
        ([FIRST, SECOND, theirs(member_id="B1", quantity="90"), theirs(member_id="B1", version=2)], "AMENDMENT"),
        ([ours(member_id="F1"), SECOND, ALL, ours(member_id="F2", kind=Kind.CANCEL, version=2)], "AMENDMENT"),
        ([ours(member_id="F1"), ALL], "LATE_ARRIVAL"),
    ],
)
def test_a_break_of_a_group_says_whether_a_further_record_or_a_correction_ended_it(
    tmp_path: Path, legs: list[Leg], resolution: str
) -> None:
    """In the result that matching publishes, and in the rows that the sink derives of its history."""
    outputs, last = Outputs(), results_of("O1", legs)[-1]
    outputs.publish_trade("O1", legs)
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    outputs.write_to(store)
    with store.engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT resolution FROM breaks").scalar_one()
    store.close()
    assert (last.verdict.state, last.break_.resolution, stored) == (State.MATCHED, resolution, resolution)


def test_a_record_without_an_id_of_its_own_is_no_member() -> None:
    assert decode_sent_ids(b'{"legs":{"executions":[{"payload":{}},{"payload":{"member_id":"F1"}}]}}') == ["F1"]


def test_a_migration_finds_them_in_the_results_there_are(url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("DROP TABLE sent_ids")
        database.execute("DROP INDEX dead_letters_by_trade")
        database.execute("ALTER TABLE dead_letters DROP COLUMN trade_id")
        database.execute("UPDATE alembic_version SET version_num = '0006'")
        database.execute("UPDATE result_history SET result = '\"member_id\"' WHERE trade_id = 'T2'")
    engine = open_engine(url)
    migration.upgrade(engine)
    engine.dispose()
    assert members(url) == ROWS


def test_a_purge_removes_them(url: str) -> None:
    store = Store.existing(url)
    with store.engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("UPDATE breaks SET status = 'RESOLVED'")
        assert purge.purge_next(connection, "9999-01-01T00:00:00Z", "").trades == 6
    store.close()
    assert members(url) == []


def test_the_page_of_a_record_points_to_its_group(url: str, tmp_path: Path) -> None:
    with served(tmp_path, url) as desk:
        page = desk.text("/trades/F1", 404)
        assert "Records with the trade_id F1 belong to the trade O1." in page
        assert '<a href="/trades/O1">' in page
        assert "Records with the trade_id F2 belong to the trades O1, O2." in desk.json("/trades/F2.json", 404)["error"]
        assert desk.text("/trades/F1.csv", 404).startswith("Records with the trade_id F1 belong to the trade O1.")
        assert "There is no result for a trade F9" in desk.text("/trades/F9", 404)
