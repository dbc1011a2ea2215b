"""The identity of a database: its id, its file, where its history begins, and stored changes of the rules."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sink.outputs import TOPICS, simulated_outputs

from traderecon import clock
from traderecon.audit.backup import backup
from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.database import open_for_audit
from traderecon.audit.findings import Kind
from traderecon.audit.verify import examine
from traderecon.records.action import encode_action, rules_change
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.digest import sha256
from traderecon.sink.file_identity import file_identity
from traderecon.sink.queries import Queries
from traderecon.sink.rules_queries import newest_rules, recorded_rules
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record

NOW = "2025-07-26T12:00:00Z"


def fresh(path: Path) -> Store:
    store = Store.open(f"sqlite:///{path}")
    store.prepare()
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = fresh(tmp_path / "t.db")
    yield made
    made.close()


@pytest.mark.matrix("Z8")
def test_an_id_is_drawn_once_and_again_only_for_a_reason(store: Store) -> None:
    assert store.database_id() is None
    first = store.renew_id("the first sink", NOW)
    assert store.database_id() == first
    second = store.renew_id("it is a copy", NOW)
    assert store.database_id() == second != first
    with store.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT database_id, since, reason FROM database_ids ORDER BY id").all()
    assert [tuple(row) for row in found] == [(first, NOW, "the first sink"), (second, NOW, "it is a copy")]


@pytest.mark.matrix("Z8")
def test_a_backup_has_no_id(store: Store, tmp_path: Path) -> None:
    store.renew_id("the first sink", NOW)
    backup(f"sqlite:///{tmp_path / 't.db'}", tmp_path / "b.db")
    copy = Store.open(f"sqlite:///{tmp_path / 'b.db'}")
    assert copy.database_id() is None
    copy.close()


@pytest.mark.matrix("Z8")
def test_a_copy_lies_in_another_place_and_its_workers_in_one(store: Store, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes((tmp_path / "t.db").read_bytes())
    (tmp_path / "link.db").symlink_to(tmp_path / "t.db")
    assert file_identity(str(tmp_path / "t.db")) == file_identity(str(tmp_path / "link.db"))
    assert file_identity(str(tmp_path / "t.db")) != file_identity(str(tmp_path / "copy.db"))


@pytest.mark.matrix("Z8")
def test_machines_are_distinguished_by_boot_id_or_host_name(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "t.db")
    here = file_identity(path)
    monkeypatch.setattr(clock, "boot_id", lambda: "another start")
    assert file_identity(path) != here
    monkeypatch.setattr(clock, "boot_id", lambda: "")
    assert (
        file_identity(path)
        == sha256(f"{socket.gethostname()} {(found := Path(path).stat()).st_dev} {found.st_ino}".encode())[:16]
    )


@pytest.mark.matrix("Z8")
def test_a_database_whose_outputs_have_expired_records_since_when_it_is_complete(store: Store, tmp_path: Path) -> None:
    outputs = simulated_outputs(120)
    whole = fresh(tmp_path / "whole.db")
    outputs.write_to(whole)
    late = {tp: records[len(records) // 2].offset for tp, records in outputs.partitions.items()}
    store.note_earliest(late)
    remaining = {tp: [one for one in records if one.offset >= late[tp]] for tp, records in outputs.partitions.items()}
    for tp, records in remaining.items():
        store.take(MicroBatch(*tp, records))
    url = f"sqlite:///{tmp_path / 't.db'}"
    with open_for_audit(url) as connection:
        examined = examine(connection, CheckpointSet())
    histories = (TOPICS.reconciled, TOPICS.mismatch, TOPICS.dead_letters)
    begun = {(one.topic, one.partition): one.first_offset for one in examined.beginnings}
    assert begun == {tp: first for tp, first in late.items() if tp[0] in histories}
    assert not [one for one in examined.findings if one.kind is not Kind.CHECKPOINT]  # none was published here
    assert store.complete_from() == max(one.complete_from for one in examined.beginnings)
    assert whole.complete_from() is None
    assert [one.first_offset for one in Queries(store.readers).beginnings()] == [*begun.values()]
    # Checkpoints of a database that began with the first message are of other chains.
    other = Checkpointer(whole.engine, tmp_path / "none.jsonl", lambda: NOW).due([*late])
    mine = Checkpointer(store.engine, tmp_path / "none.jsonl", lambda: NOW).due([*late])
    assert {one.tp: one.first for one in mine} == begun
    chains: dict[tuple[str, int], list[Checkpoint]] = {}
    for one in [*other, *mine]:
        chains.setdefault(one.tp, []).append(one)
    with open_for_audit(url) as connection:
        examined = examine(connection, CheckpointSet(chains))
    assert examined.intact, examined.findings
    assert examined.checkpoints == len(mine)
    whole.close()


@pytest.mark.matrix("Z9")
def test_a_change_of_the_rules_is_stored_once_with_what_differs(store: Store) -> None:
    old, new = {"grace_ns": 60, "check price": {"amount": "1"}}, {"grace_ns": 5, "check price": {"amount": "1"}}
    change = rules_change(3, 40, ("a" * 64, old), ("b" * 64, new))
    assert change == rules_change(3, 40, ("a" * 64, old), ("b" * 64, new))
    value = encode_action(change)
    store.take(
        MicroBatch(TOPICS.actions, 0, [Record(0, 1, change.key, value, ()), Record(1, 2, change.key, value, ())])
    )
    store.take(MicroBatch(TOPICS.actions, 0, [Record(2, 3, change.key, value, ())]))
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT journal_partition, journal_offset, before_sha256, after_sha256, difference, action "
            "FROM rules_changes"
        ).all()
    assert [tuple(row) for row in rows] == [(3, 40, "a" * 64, "b" * 64, '{"grace_ns":[60,5]}', value.decode())]
    assert msgspec.json.decode(value)["about"] == "rules"


def test_the_text_of_rules_is_found_by_their_sha256(store: Store) -> None:
    rules = {"name": "x", "checks": []}
    changes = [
        rules_change(0, 0, None, ("a" * 64, {}), rules),
        rules_change(1, 5, None, ("a" * 64, {}), rules),
        rules_change(0, 7, ("a" * 64, {}), ("ab" + "c" * 62, {}), {"name": "y"}),
        rules_change(0, 9, ("ab" + "c" * 62, {}), ("d" * 64, {})),
        rules_change(0, 11, ("d" * 64, {}), ("a" * 64, {}), rules),
    ]
    records = [Record(place, place + 1, change.key, encode_action(change), ()) for place, change in enumerate(changes)]
    store.take(MicroBatch(TOPICS.actions, 0, records))

    def found(prefix: str) -> list[tuple[str, object, list[tuple[int, int]]]]:
        return [
            (one.sha256[:3], one.rules, [place[:2] for place in one.since])
            for one in recorded_rules(store.engine, prefix)
        ]

    whole = ("aaa", rules, [(0, 0), (1, 5), (0, 11)])
    assert found("a" * 64) == found("aa") == [whole]
    assert found("a") == [whole, ("abc", {"name": "y"}, [(0, 7)])]
    assert found("d") == [("ddd", None, [(0, 9)])]
    assert found("e") == found("%") == []
    assert newest_rules(store.engine) == rules


def test_rules_without_their_text_on_record_are_unknown(store: Store) -> None:
    assert newest_rules(store.engine) is None
    change = rules_change(0, 9, None, ("d" * 64, {}))
    store.take(MicroBatch(TOPICS.actions, 0, [Record(0, 1, change.key, encode_action(change), ())]))
    assert newest_rules(store.engine) is None
