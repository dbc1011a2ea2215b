"""Checkpoints: the file, also a damaged one, and the checkpointer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from audit.tamperings import outputs_of
from sink.outputs import PARTITIONS, TOPICS, simulated_outputs

from traderecon.audit import checkpoint_files as checkpoint
from traderecon.audit.checkpoint_files import append, read
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.links import table_of
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.formats import OtherFormat
from traderecon.sink.chain import START
from traderecon.sink.store import Store

NOW = "2025-07-26T12:00:00Z"


def checkpoint_at(next_offset: int, topic: str = "mismatch") -> Checkpoint:
    return Checkpoint(topic, 0, next_offset, f"{next_offset:064}", next_offset, next_offset, NOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    yield store
    store.close()


def test_checkpoints_are_read_in_chain_order(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    append(file, [checkpoint_at(5), checkpoint_at(2), checkpoint_at(3, "reconciled")])
    append(file, [checkpoint_at(9)])
    checkpoints = read([file])
    assert [one.next_offset for one in checkpoints.chains["mismatch", 0]] == [2, 5, 9]
    assert (checkpoints.count, checkpoints.undecoded) == (4, [])


def test_a_truncated_line_does_not_affect_other_lines(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    append(file, [checkpoint_at(5)])
    file.write_bytes(file.read_bytes() + checkpoint_at(7).line[:40])
    append(file, [checkpoint_at(9)])
    checkpoints = read([file])
    assert [one.next_offset for one in checkpoints.chains["mismatch", 0]] == [5, 9]
    assert checkpoints.undecoded == [f"{file} line 2"]


def test_a_format_of_a_newer_version_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_bytes(checkpoint_at(5).line.replace(b'"format":1', b'"format":2') + b"\n")
    with pytest.raises(OtherFormat, match="a record of format 2"):
        read([file])


def test_the_last_of_many_checkpoints_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MOST_PER_CHAIN", 8)
    file = tmp_path / "c.jsonl"
    append(file, [checkpoint_at(at) for at in [*range(1, 50), 1_000, *range(50, 90)]])
    chain = read([file]).chains["mismatch", 0]
    assert len(chain) <= 8
    assert chain[-1].next_offset == 1_000


def test_a_chain_is_due_when_it_has_changed(store: Store, tmp_path: Path) -> None:
    outputs, file = outputs_of(60, 3), tmp_path / "c.jsonl"
    checkpointer = Checkpointer(store.engine, file, lambda: NOW)
    tps = [*outputs.partitions]
    assert checkpointer.due(tps) == []
    half = {tp: len(records) // 2 for tp, records in outputs.partitions.items()}
    for tp in tps:
        store.take(outputs.batch(tp, 0, half[tp]))
    due = checkpointer.due(tps)
    assert {one.tp for one in due} == {tp for tp in tps if table_of(TOPICS, tp[0]) is not None}
    assert checkpointer.due(tps) == due  # they were not reported as published
    append(file, due)
    checkpointer.mark_published(due)
    assert checkpointer.due(tps) == []
    for tp in tps:
        store.take(outputs.batch(tp, half[tp], 1_000))
    assert {one.tp: one.next_offset for one in checkpointer.due(tps)} == {
        tp: end for tp, end in outputs.next_offsets.items() if table_of(TOPICS, tp[0]) is not None
    }


@pytest.mark.parametrize("elsewhere", [False, True])
def test_rows_are_counted_from_the_last_checkpoint_of_this_database(
    store: Store, tmp_path: Path, *, elsewhere: bool
) -> None:
    outputs, file = simulated_outputs(60), tmp_path / "c.jsonl"
    tp = (TOPICS.mismatch, 0)
    store.take(outputs.batch(tp, 0, 10))
    [due] = Checkpointer(store.engine, file, lambda: NOW).due([tp])
    append(file, [Checkpoint(*tp, due.next_offset, "f" * 64, 77, due.last_row, NOW) if elsewhere else due])
    store.take(outputs.batch(tp, 10, 1_000))
    [after] = Checkpointer(store.engine, file, lambda: NOW).due([tp])
    with store.engine.connect() as connection:
        counted = connection.exec_driver_sql("SELECT count(*), max(id) FROM result_history").one()
    assert (after.rows, after.last_row) == tuple(counted)


def test_a_chain_without_rows_has_a_checkpoint_at_its_start(store: Store, tmp_path: Path) -> None:
    outputs = simulated_outputs(60)
    copies = next(tp for tp in outputs.partitions if tp[0] == TOPICS.reconciled)
    [record, *_] = outputs.partitions[copies]
    store.take(outputs.batch(copies, 0, 1))
    [due] = Checkpointer(store.engine, tmp_path / "c.jsonl", lambda: NOW).due([copies])
    assert due.next_offset == record.offset + 1
    assert (due.head == START) == (due.rows == 0)
    assert copies[1] < PARTITIONS
