"""A database rebuilt from the topics has the same rows and heads; and backups."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from audit.sink_installation import halves, publish
from audit.tamperings import outputs_of
from sink.outputs import PARTITIONS, TOPICS, Outputs, rows

from traderecon.audit.backup import backup
from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.database import decode_text, open_for_audit
from traderecon.audit.findings import Kind
from traderecon.audit.rebuild import RebuildReport, rebuild
from traderecon.audit.verify import examine
from traderecon.client.connection import connect
from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError
from traderecon.sink.decoding import ForeignRecord
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch
from traderecon.transport.log import Log

TRADES = 60
SEED = 8
PAGE_BYTES = 16_384


class Place:
    """A directory with a log and a database filled from it as by a sink."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "t.db"
        self.url = f"sqlite:///{self.file}"
        with Log.open(directory / "log.db") as log:
            for topic in TOPICS.outputs:
                log.create(topic, PARTITIONS, compacted=topic == TOPICS.standings)

    def publish(self, outputs: Outputs) -> None:
        asyncio.run(publish("embedded://", self.directory, outputs))

    def store(self, *, into: Path | None = None) -> None:
        """Write the remaining records of the topics to the database, partition by partition in random order."""
        store = Store.open(f"sqlite:///{into or self.file}")
        store.prepare()
        offsets = store.offsets()
        places = [(topic, at) for topic in TOPICS.outputs for at in range(PARTITIONS)]
        random.Random(3).shuffle(places)
        with Log.open(self.directory / "log.db") as log:
            for topic, at in places:
                while records := log.read(topic, at, offsets.get((topic, at), 0), 50):
                    take(store, MicroBatch(topic, at, records))
                    offsets[topic, at] = records[-1].offset + 1
        store.close()

    def rebuild(self, file: Path) -> RebuildReport:
        async def made() -> RebuildReport:
            async with connect("embedded://", self.directory) as client:
                return await rebuild(client, TOPICS, self.url, file)

        return asyncio.run(made())

    def edit(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute(statement, values)

    def damage(self, at: int) -> None:
        content = bytearray(self.file.read_bytes())
        content[at : at + 2_000] = b"\xa5" * 2_000
        self.file.write_bytes(content)


def take(store: Store, batch: MicroBatch) -> None:
    """As the sink does on the third attempt: foreign records are skipped."""
    aside: set[int] = set()
    while True:
        try:
            store.take(batch, aside)
        except ForeignRecord as error:
            aside.add(error.record.offset)
        else:
            return


def found(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    store = Store.open(f"sqlite:///{file}")
    try:
        return {name: offsets for name, offsets in rows(store.engine).items() if name != "log_identity"}
    finally:
        store.engine.dispose()


def kinds(url: str) -> set[Kind]:
    """The kinds of findings of an audit without checkpoints: there is always one for the missing checkpoints."""
    with open_for_audit(url) as connection:
        return {one.kind for one in examine(connection, CheckpointSet()).findings}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    directory = tmp_path / "data"
    directory.mkdir()
    return Place(directory)


def test_a_rebuilt_database_has_the_same_chains_and_rows(place: Place, tmp_path: Path) -> None:
    first, later = halves(outputs_of(TRADES, SEED))
    place.publish(first)
    with Log.open(place.directory / "log.db") as log:
        log.append([(TOPICS.mismatch, 0, [(b"T", b"{}", 0, ())])])
    place.store()
    place.publish(later)  # not in the old database yet
    made = place.rebuild(tmp_path / "new.db")
    assert made.compared is not None
    assert (made.same, made.ignored, made.times, made.reason) == (True, 1, 0, "")
    assert {one.topic for one in made.compared} == {*TOPICS.outputs} - {TOPICS.standings, TOPICS.accounts}
    assert sorted(path.name for path in tmp_path.glob("new.db*")) == ["new.db"]
    place.store()
    assert found(tmp_path / "new.db") == found(place.file)
    assert kinds(f"sqlite:///{tmp_path / 'new.db'}") == {Kind.CHECKPOINT}


def test_a_rebuild_names_the_chain_that_differs_in_the_old_database(place: Place, tmp_path: Path) -> None:
    place.publish(outputs_of(TRADES, SEED))
    place.store()
    place.edit("UPDATE sink_offsets SET head = ? WHERE topic = 'mismatch' AND partition = 1", "1" * 64)
    place.edit("UPDATE result_history SET decided_at = '2020-01-01T00:00:00Z' WHERE id = 3")
    made = place.rebuild(tmp_path / "new.db")
    assert (made.same, made.times) == (False, 1)
    assert [(one.topic, one.partition) for one in made.compared or () if not one.same] == [("mismatch", 1)]


def test_only_a_rebuild_finds_a_skipped_offset(place: Place, tmp_path: Path) -> None:
    """If the next offset is moved forward, the sink skips records, and no row is left as evidence."""
    first, later = halves(outputs_of(TRADES, SEED))
    place.publish(first)
    place.store()
    place.edit("UPDATE sink_offsets SET next_offset = next_offset + 5 WHERE topic = 'mismatch' AND partition = 0")
    place.publish(later)
    place.store()
    assert kinds(place.url) == {Kind.CHECKPOINT}
    assert not place.rebuild(tmp_path / "new.db").same


def test_a_topic_with_expired_records_cannot_be_rebuilt_from(place: Place, tmp_path: Path) -> None:
    place.publish(outputs_of(TRADES, SEED))
    with Log.open(place.directory / "log.db") as log:
        log.trim(TOPICS.mismatch, 1, 3)
    with pytest.raises(StoreError, match=r"mismatch\[1\] .* begins at offset 3: earlier records are gone") as refused:
        place.rebuild(tmp_path / "new.db")
    assert refused.value.code == Exit.CONFIG
    with Log.open(place.directory / "log.db") as log:
        log.trim(TOPICS.mismatch, 1, log.end(TOPICS.mismatch, 1))
    with pytest.raises(StoreError, match="earlier records are gone"):
        place.rebuild(tmp_path / "new.db")
    assert [*tmp_path.glob("new*")] == []


def test_nothing_is_overwritten(place: Place, tmp_path: Path) -> None:
    place.store()
    (tmp_path / "mine").write_text("mine")
    calls: list[Callable[[], object]] = [
        lambda: place.rebuild(tmp_path / "mine"),
        lambda: backup(place.url, tmp_path / "mine"),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="is not overwritten"):
            call()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_backup_is_one_file_with_everything_in_it(place: Place, tmp_path: Path) -> None:
    place.publish(outputs_of(TRADES, SEED))
    place.store()
    with closing(sqlite3.connect(place.file)) as open_:  # so some of it is only in the WAL
        open_.execute("UPDATE results SET hints = hints")
        open_.commit()
        copy = backup(place.url, tmp_path / "b.db")
    assert sorted(path.name for path in tmp_path.glob("b.db*")) == ["b.db"]
    copied = found(tmp_path / "b.db")
    # The first worker to open a copy gives it an id of its own.
    assert [id_ for id_, *_ in copied.pop("database_ids")] == [""]
    assert copied == {name: offsets for name, offsets in found(place.file).items() if name != "database_ids"}
    with closing(sqlite3.connect(place.file)) as database:
        heads = database.execute("SELECT topic, partition, next_offset, head FROM sink_offsets").fetchall()
    assert sorted((one.topic, one.partition, one.next_offset, one.head) for one in copy.heads) == sorted(heads)


@pytest.mark.matrix("S7")
def test_a_database_replaced_by_an_older_copy_comes_to_the_same(place: Place, tmp_path: Path) -> None:
    first, later = halves(outputs_of(TRADES, SEED))
    place.publish(first)
    place.store()
    shutil.copy(place.file, tmp_path / "older.db")
    place.publish(later)
    place.store()
    expected = found(place.file)
    shutil.copy(tmp_path / "older.db", place.file)
    place.store()
    assert found(place.file) == expected


@pytest.mark.matrix("S7")
@pytest.mark.parametrize("page", [0, 4])
def test_a_damaged_file_is_rejected_and_reported(place: Place, tmp_path: Path, page: int) -> None:
    place.publish(outputs_of(TRADES, SEED))
    place.store()
    place.damage(page * PAGE_BYTES)
    with pytest.raises(StoreError, match=r"damaged|not a readable database") as refused:
        backup(place.url, tmp_path / "b.db")
    assert refused.value.code == Exit.CONFIG
    assert [*tmp_path.glob("b.db*")] == []
    if page:
        with closing(sqlite3.connect(place.file)) as connection:
            connection.text_factory = decode_text
            assert Kind.DAMAGED in {one.kind for one in examine(connection, CheckpointSet()).findings}
    made = place.rebuild(tmp_path / "new.db")
    assert (made.compared is None) == (not page)
    assert made.reason or page
