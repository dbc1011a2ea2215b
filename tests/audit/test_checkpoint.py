"""Checkpoints: the file of them, whatever happened to it, and what the notary tells of a database."""

from pathlib import Path

import pytest
from audit.tamperings import outputs_of
from sink.outputs import PARTITIONS, TOPICS, simulated

from traderecon.audit import checkpoint_files as checkpoint
from traderecon.audit.checkpoint_files import append, read
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.links import table_of
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.formats import OtherFormat
from traderecon.sink.chain import START
from traderecon.sink.store import Store

NOW = "2025-07-26T12:00:00Z"


def told(next_offset: int, topic: str = "mismatch") -> Checkpoint:
    return Checkpoint(topic, 0, next_offset, f"{next_offset:064}", next_offset, next_offset, NOW)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    made.ready()
    return made


def test_what_is_appended_is_read_in_the_order_of_the_chain(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    append(file, [told(5), told(2), told(3, "reconciled")])
    append(file, [told(9)])
    known = read([file])
    assert [one.next_offset for one in known.chains["mismatch", 0]] == [2, 5, 9]
    assert (known.count, known.unread) == (4, [])


def test_a_line_cut_off_by_a_power_cut_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    append(file, [told(5)])
    file.write_bytes(file.read_bytes() + told(7).line[:40])
    append(file, [told(9)])
    known = read([file])
    assert [one.next_offset for one in known.chains["mismatch", 0]] == [5, 9]
    assert known.unread == [f"{file} line 2"]


def test_a_format_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_bytes(told(5).line.replace(b'"format":1', b'"format":2') + b"\n")
    with pytest.raises(OtherFormat, match="a record of format 2"):
        read([file])


def test_of_many_checkpoints_the_last_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MOST", 8)
    file = tmp_path / "c.jsonl"
    append(file, [told(at) for at in [*range(1, 50), 1_000, *range(50, 90)]])
    chain = read([file]).chains["mismatch", 0]
    assert len(chain) <= 8
    assert chain[-1].next_offset == 1_000


def test_the_notary_tells_a_chain_when_it_has_moved(store: Store, tmp_path: Path) -> None:
    outputs, file = outputs_of(60, 3), tmp_path / "c.jsonl"
    checkpointer = Checkpointer(store.engine, file, lambda: NOW)
    places = [*outputs.places]
    assert checkpointer.due(places) == []
    half = {place: len(records) // 2 for place, records in outputs.places.items()}
    for place in places:
        store.take(outputs.batch(place, 0, half[place]))
    due = checkpointer.due(places)
    assert {one.place for one in due} == {place for place in places if table_of(place[0]) is not None}
    assert checkpointer.due(places) == due  # nobody has said that it was kept
    append(file, due)
    checkpointer.told(due)
    assert checkpointer.due(places) == []
    for place in places:
        store.take(outputs.batch(place, half[place], 1_000))
    assert {one.place: one.next_offset for one in checkpointer.due(places)} == {
        place: end for place, end in outputs.ends.items() if table_of(place[0]) is not None
    }


@pytest.mark.parametrize("elsewhere", [False, True])
def test_rows_are_counted_on_from_the_last_checkpoint_where_it_is_of_this_database(
    store: Store, tmp_path: Path, *, elsewhere: bool
) -> None:
    outputs, file = simulated(60), tmp_path / "c.jsonl"
    place = (TOPICS.mismatch, 0)
    store.take(outputs.batch(place, 0, 10))
    [due] = Checkpointer(store.engine, file, lambda: NOW).due([place])
    append(file, [Checkpoint(*place, due.next_offset, "f" * 64, 77, due.last_row, NOW) if elsewhere else due])
    store.take(outputs.batch(place, 10, 1_000))
    [after] = Checkpointer(store.engine, file, lambda: NOW).due([place])
    with store.engine.connect() as connection:
        counted = connection.exec_driver_sql("SELECT count(*), max(id) FROM result_history").one()
    assert (after.rows, after.last_row) == tuple(counted)


def test_a_chain_without_rows_is_told_with_its_start(store: Store, tmp_path: Path) -> None:
    outputs = simulated(60)
    copies = next(place for place in outputs.places if place[0] == TOPICS.reconciled)
    [record, *_] = outputs.places[copies]
    store.take(outputs.batch(copies, 0, 1))
    [due] = Checkpointer(store.engine, tmp_path / "c.jsonl", lambda: NOW).due([copies])
    assert due.next_offset == record.offset + 1
    assert (due.head == START) == (due.rows == 0)
    assert copies[1] < PARTITIONS
