"""Migrations create exactly the tables of the schema, once, and leave other tables alone."""

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from legs import ours, theirs
from sink.outputs import TOPICS, Outputs, results_of
from sqlalchemy import create_engine

from traderecon.exit_codes import Exit
from traderecon.records.result_message import encode_result
from traderecon.sink import migration
from traderecon.sink.database import StoreError, open_engine
from traderecon.sink.schema import metadata
from traderecon.sink.store import Store


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def definitions(path: Path) -> list[tuple[str, str, str]]:
    """Every table and index as SQLite defines it, without whitespace."""
    found = sqlite3.connect(path)
    try:
        rows = found.execute("SELECT type, name, sql FROM sqlite_schema WHERE tbl_name != 'alembic_version'").fetchall()
    finally:
        found.close()
    return sorted((kind, name, re.sub(r"\s+", "", sql or "")) for kind, name, sql in rows)


def test_migrations_make_the_schema(tmp_path: Path) -> None:
    engine = open_engine(url(tmp_path / "t.db"))
    assert migration.current(engine) is None
    migration.upgrade(engine)
    assert migration.current(engine) == migration.head()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    made = create_engine(url(tmp_path / "made.db"))
    metadata.create_all(made)
    made.dispose()
    assert definitions(tmp_path / "t.db") == definitions(tmp_path / "made.db")


def test_a_difference_from_the_schema_is_found(tmp_path: Path) -> None:
    engine = open_engine(url(tmp_path / "t.db"))
    migration.upgrade(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP INDEX results_by_state")
        connection.exec_driver_sql("ALTER TABLE breaks ADD COLUMN note TEXT")
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        assert {one[0] for one in found} == {"add_index", "remove_column"}
    engine.dispose()


def test_new_columns_are_filled_from_the_results_there_are(tmp_path: Path) -> None:
    """The same rows as a new database has, so that ``audit verify`` finds nothing."""
    addresses = [url(tmp_path / name) for name in ("new.db", "old.db")]
    lives = results_of("T1", [ours(currency="usd"), theirs(price="191"), theirs(version=2)])
    tables = []
    for address in addresses:
        store, outputs = Store.open(address), Outputs()
        store.prepare()
        for result in [*lives, *results_of("T2", [ours(currency="EUR"), theirs(price="7")])]:
            topic = TOPICS.mismatch if result.verdict.state.is_break else TOPICS.reconciled
            outputs.append(topic, 0, result.trade_id.encode(), encode_result(result))
        outputs.append(TOPICS.mismatch, 0, b"T3", encode_result(results_of("T3", [ours()])[0]))
        outputs.write_to(store)
        store.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        for name in ("results", "breaks", "break_events"):
            for column in (
                "currency",
                "at_stake",
                "agreed",
                "sent_by_both",
                "escalates_at",
                "escalates_to",
                "resolution",
            ):
                if column in {row[1] for row in old.execute(f"PRAGMA table_info({name})")}:
                    old.execute(f"ALTER TABLE {name} DROP COLUMN {column}")
        old.execute("ALTER TABLE standings DROP COLUMN orphans")
        old.execute("DROP TABLE sent_ids")
        old.execute("DROP INDEX dead_letters_by_trade")
        old.execute("ALTER TABLE dead_letters DROP COLUMN trade_id")
        old.execute("UPDATE result_history SET result = 'not JSON' WHERE trade_id = 'T3'")
        old.execute("UPDATE alembic_version SET version_num = '0005'")
    engine = open_engine(addresses[1])
    migration.upgrade(engine)
    engine.dispose()
    for name in ("new.db", "old.db"):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            tables.append(
                [
                    database.execute(f"SELECT * FROM {table} WHERE trade_id != 'T3' ORDER BY 1, 2").fetchall()
                    for table in ("results", "breaks", "break_events")
                ]
            )
    assert tables[0] == tables[1]
    assert {row[-1] for row in tables[0][2]} == {None, "AMENDMENT"}


def test_concurrent_stores_create_the_tables_once(tmp_path: Path) -> None:
    def started(number: int) -> str | None:
        store = Store.open(url(tmp_path / "new" / "folder" / "t.db"))
        try:
            store.prepare()
            return store.migration()
        finally:
            store.close()

    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(started, range(8))] == [migration.head()] * 8


def test_a_database_at_another_migration_is_rejected_with_advice(tmp_path: Path) -> None:
    store = Store.open(url(tmp_path / "t.db"))
    store.prepare()
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(
        StoreError, match=rf"at migration 0999, this version works with {migration.head()}.*`traderecon db upgrade`"
    ) as at:
        store.prepare()
    assert at.value.code == Exit.CONFIG
    with pytest.raises(StoreError, match=r"tables are of a newer version \(migration 0999\)") as at:
        store.upgrade()
    assert at.value.code == Exit.CONFIG
    store.close()


def test_foreign_tables_are_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "t.db")
    other.execute("CREATE TABLE results (id)")
    other.close()
    store = Store.open(url(tmp_path / "t.db"))
    with pytest.raises(StoreError, match=r"has tables of something else \(results, \.\.\.\): name another file"):
        store.prepare()
    store.close()
    assert [name for _, name, _ in definitions(tmp_path / "t.db")] == ["results"]


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        (
            "postgresql://u:hunter2@h/db",
            Exit.CONFIG,
            "only SQLite databases are supported",
        ),
        ("no url", Exit.CONFIG, "only SQLite databases are supported"),
        ("sqlite://", Exit.CONFIG, "names no file"),
        ("sqlite:///:memory:", Exit.CONFIG, "names no file"),
        ("sqlite:////proc/no/t.db", Exit.UNREACHABLE, "its directory cannot be created"),
        ("sqlite:////proc/t.db", Exit.UNREACHABLE, "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_used(address: str, code: int, message: str) -> None:
    with pytest.raises(StoreError, match=message) as error:
        Store.open(address)
    assert error.value.code == code
    assert "hunter2" not in error.value.message


def test_a_file_that_is_not_a_database_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"a letter to the desk, and no database at all" * 100)
    with pytest.raises(StoreError, match="not a readable database") as error:
        Store.open(url(tmp_path / "t.db"))
    assert error.value.code == Exit.CONFIG


def test_a_locked_database_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traderecon.sink.database.BUSY_TIMEOUT_S", 0.05)
    store = Store.open(url(tmp_path / "t.db"))
    other = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another process") as error:
        store.upgrade()
    assert error.value.code == Exit.UNREACHABLE
    other.execute("ROLLBACK")
    other.close()
    store.upgrade()
    store.close()


def test_the_sqlite_options_are_set(tmp_path: Path) -> None:
    engine = open_engine(url(tmp_path / "t.db"))
    with engine.connect() as connection:
        options = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert options == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}
