"""Verify: an untouched database is intact, and every tampering is found and located."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from audit.tamperings import (
    PAPER_TAMPERINGS,
    SIZES,
    TAMPERINGS,
    CheckpointCopies,
    Subject,
    delete_everywhere,
    delete_file,
    forge_event_id,
    rows,
    run,
    sign_with_another_key,
    strip_signatures,
    subject,
    unsigned,
)
from sink.outputs import TOPICS

from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.findings import MOST_TEXTS, Finding, Kind
from traderecon.audit.verify import AuditReport, examine

TRIALS = 600
Tamper = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def made() -> Iterator[Subject]:
    with subject(40, 5) as one:
        yield one


@pytest.fixture
def db(made: Subject) -> Iterator[sqlite3.Connection]:
    """The database; changes of a test are rolled back."""
    made.connection.execute("BEGIN")
    yield made.connection
    made.connection.execute("ROLLBACK")


def row(db: sqlite3.Connection, table: str, at: int = 5) -> dict[str, object]:
    return rows(db, f"SELECT * FROM {table} ORDER BY id")[at]


def first(examined: AuditReport) -> Finding:
    assert not examined.intact
    return examined.findings[0]


def test_an_untouched_database_is_intact(made: Subject) -> None:
    examined = examine(made.connection, made.checkpoints)
    assert (examined.intact, examined.found, examined.trades) == (True, 0, 40)
    [(history,)] = made.connection.execute("SELECT count(*) FROM result_history")
    assert (
        sum(chain.rows for chain in examined.chains if chain.topic in {TOPICS.reconciled, TOPICS.mismatch}) == history
    )
    assert all(chain.checkpoint for chain in examined.chains)
    heads = dict(made.connection.execute("SELECT topic || partition, head FROM sink_offsets"))
    assert {f"{one.topic}{one.partition}": one.head for one in examined.chains}.items() <= heads.items()


@pytest.mark.parametrize("seed", range(len(SIZES)))
def test_every_tampering_is_found(seed: int) -> None:
    kinds, missed = run(100 + seed, TRIALS // len(SIZES))
    assert missed == []
    assert set(kinds) == {one.__name__ for one in (*TAMPERINGS, *PAPER_TAMPERINGS)}


@pytest.mark.matrix("S12")
@pytest.mark.parametrize(
    ("tampering", "message"),
    [
        (delete_file, "are not in the file, which is written first: they were removed from it, or changed"),
        (delete_everywhere, "no checkpoint covers its"),
        (strip_signatures, "has no signature, but should have one"),
        (sign_with_another_key, "which is not trusted"),
        (forge_event_id, "its event id does not follow from its legs, checks, verdict and rules"),
    ],
)
def test_tampering_with_checkpoints_is_reported(
    made: Subject, db: sqlite3.Connection, tampering: Callable[..., str], message: str
) -> None:
    copies = CheckpointCopies.of(made.checkpoints)
    assert copies.audit(db).intact
    tampering(random.Random(3), db, copies)
    assert any(message in one.text for one in copies.audit(db).findings)


@pytest.mark.matrix("S12")
def test_without_any_checkpoint_nothing_is_intact(made: Subject, db: sqlite3.Connection) -> None:
    found = first(examine(db, CheckpointSet()))
    assert (found.kind, found.text.partition(":")[0][:25]) == (Kind.CHECKPOINT, "no checkpoint covers its ")


@pytest.mark.matrix("S12")
def test_checkpoints_from_before_there_was_a_key_need_no_signature(made: Subject, db: sqlite3.Connection) -> None:
    copies = CheckpointCopies.of(made.checkpoints)
    last = {unsigned(line).tp: line for line in copies.file}
    older = [line if last[unsigned(line).tp] == line else unsigned(line).line for line in copies.file]
    copies.file, copies.topic, copies.anchor = older, [*older], []
    assert copies.audit(db).intact


def test_a_changed_amount_names_its_row(db: sqlite3.Connection, made: Subject) -> None:
    there = row(db, "result_history")
    db.execute("UPDATE result_history SET result = replace(result, '190', '191') WHERE id = ?", (there["id"],))
    found = first(examine(db, made.checkpoints))
    assert (found.kind, found.table, found.row) == (Kind.BROKEN, "result_history", there["id"])
    assert (found.topic, found.offset, found.trade_id) == (there["topic"], there["offset"], there["trade_id"])
    assert f"row {there['id']}" in str(found)


def test_a_deleted_row_is_named(db: sqlite3.Connection, made: Subject) -> None:
    db.execute("DELETE FROM dead_letters WHERE id = 2")
    found = first(examine(db, made.checkpoints))
    assert (found.kind, found.table, found.row, found.text) == (
        Kind.MISSING,
        "dead_letters",
        3,
        "row 2 before it is missing: deleted, or moved",
    )


def test_a_state_that_contradicts_the_result_is_named(db: sqlite3.Connection, made: Subject) -> None:
    there = row(db, "result_history")
    db.execute("UPDATE result_history SET state = 'MATCHED!' WHERE id = ?", (there["id"],))
    assert f"state is 'MATCHED!', but the result has {there['state']!r}" in first(examine(db, made.checkpoints)).text


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("results", "state", "MATCHED?"), ("breaks", "status", "GONE"), ("break_events", "at", "2001-01-01T00:00:00Z")],
)
def test_derived_rows_are_compared_with_the_history(
    db: sqlite3.Connection, made: Subject, table: str, column: str, value: str
) -> None:
    [(trade_id,)] = db.execute(f"SELECT trade_id FROM {table} LIMIT 1")
    db.execute(f"UPDATE {table} SET {column} = ? WHERE trade_id = ?", (value, trade_id))
    found = first(examine(db, made.checkpoints))
    assert (found.kind, found.table, found.trade_id) == (Kind.DERIVED, table, trade_id)
    assert f"{column} is {value!r}, but by the history it is" in found.text


def test_one_change_is_one_finding(db: sqlite3.Connection, made: Subject) -> None:
    db.execute("UPDATE dead_letters SET text = 'all is well' WHERE id = 3")
    assert [(one.kind, one.row) for one in examine(db, made.checkpoints).findings] == [(Kind.BROKEN, 3)]


def test_only_a_checkpoint_finds_a_truncated_end(db: sqlite3.Connection, made: Subject) -> None:
    last = rows(db, "SELECT * FROM dead_letters ORDER BY id DESC LIMIT 1")[0]
    question = 'SELECT chain, "offset" FROM dead_letters WHERE topic = ? AND partition = ? AND id < ? ORDER BY id'
    [*_, (before, offset)] = db.execute(question, (last["topic"], last["partition"], last["id"]))
    db.execute("DELETE FROM dead_letters WHERE id = ?", (last["id"],))
    db.execute(
        "UPDATE sink_offsets SET head = ?, next_offset = ? WHERE topic = ? AND partition = ?",
        (before, offset + 1, last["topic"], last["partition"]),
    )
    without = {one.text.partition(":")[0] for one in examine(db, CheckpointSet()).findings}
    assert all(text.startswith("no checkpoint covers") for text in without)  # and no other finding
    found = first(examine(db, made.checkpoints))
    assert (found.kind, found.topic, found.partition) == (Kind.TRUNCATED, last["topic"], last["partition"])
    assert "its end was cut off" in found.text


def test_decided_at_is_compared_only_where_two_tables_have_it(db: sqlite3.Connection, made: Subject) -> None:
    """No chain covers the time, see docs/audit.md; ``db rebuild`` compares it with the topic."""
    older = (
        "SELECT h.id FROM result_history h JOIN results r USING (trade_id) "
        "LEFT JOIN break_events e USING (trade_id, version) WHERE h.version < r.version AND e.version IS NULL {}"
    )
    [(number,)] = db.execute(older.format("LIMIT 1"))
    db.execute("UPDATE result_history SET decided_at = '2020-01-01T00:00:00Z' WHERE id = ?", (number,))
    assert examine(db, made.checkpoints).intact
    db.execute("UPDATE result_history SET decided_at = 'yesterday' WHERE id = ?", (number,))
    assert "no ISO 8601 instant" in first(examine(db, made.checkpoints)).text


def test_cells_that_are_not_text_are_found(db: sqlite3.Connection, made: Subject) -> None:
    for table, column in (("result_history", "result"), ("dead_letters", "text")):
        db.execute(f"UPDATE {table} SET {column} = CAST(x'ff00fe' AS TEXT) WHERE id = 1")
    db.execute("UPDATE results SET trade_id = CAST(x'ff00fe' AS TEXT) WHERE trade_id = 'T-7'")
    found = {one.table for one in examine(db, made.checkpoints).findings}
    assert {"result_history", "dead_letters", "results"} <= found


def test_many_findings_are_counted_and_the_first_have_texts(db: sqlite3.Connection, made: Subject) -> None:
    rng = random.Random(1)
    for (number,) in db.execute("SELECT id FROM result_history").fetchall():
        db.execute("UPDATE result_history SET chain = ? WHERE id = ?", (rng.randbytes(32).hex(), number))
    examined = examine(db, made.checkpoints)
    assert examined.found >= len(examined.findings) > 20
    assert len(examined.findings) <= MOST_TEXTS


def test_a_damaged_file_is_a_finding(tmp_path: Path, made: Subject) -> None:
    file = tmp_path / "t.db"
    with closing(sqlite3.connect(file)) as copy, copy:
        made.connection.backup(copy)
    content = bytearray(file.read_bytes())
    content[16_384 * 3 : 16_384 * 3 + 4_000] = b"\xff" * 4_000
    file.write_bytes(content)
    with closing(sqlite3.connect(file)) as damaged, damaged:
        damaged.text_factory = lambda cell: cell.decode(errors="surrogateescape")
        examined = examine(damaged, made.checkpoints)
    assert Kind.DAMAGED in {one.kind for one in examined.findings}


@pytest.mark.parametrize("column", ["topic", "chain"])
@pytest.mark.parametrize("table", ["result_history", "dead_letters", "dead_letter_actions"])
def test_a_cell_that_is_not_utf8_is_a_finding(made: Subject, db: sqlite3.Connection, table: str, column: str) -> None:
    db.execute(f"UPDATE {table} SET {column} = CAST(x'ff' AS TEXT) WHERE id = 2")
    examined = examine(db, made.checkpoints)
    assert [(one.table, one.row) for one in examined.findings if one.row == 2]


@pytest.mark.parametrize(
    "made_by_hand",
    [
        "CREATE TRIGGER nice AFTER INSERT ON results BEGIN UPDATE results SET state = 'MATCHED'; END",
        "CREATE VIEW nice AS SELECT * FROM results",
    ],
)
def test_a_trigger_or_view_is_a_finding(made: Subject, db: sqlite3.Connection, made_by_hand: str) -> None:
    db.execute(made_by_hand)
    assert "'nice', which TradeRecon does not create" in first(examine(db, made.checkpoints)).text
