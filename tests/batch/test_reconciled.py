"""Rows that were reconciled before: skipped, and a changed one is a break; by marks, and against a database."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from batches import left_by, rows_of, written
from legs import arrived, ours, theirs
from web.desk import filled

from traderecon.addresses import sqlite_url
from traderecon.batch.inputs import InputError
from traderecon.batch.outputs import Format
from traderecon.batch.reconcile import Run, reconcile
from traderecon.batch.reconciled import SKIPPED, MarkedRow, settle
from traderecon.batch.summary import Summary
from traderecon.records import Kind, Source
from traderecon.rules import FOUNDING
from traderecon.sink.stored_matches import StoredMatches

TERMS = "AAPL,100,190.50,2025-07-26T10:01:23Z"
HEADER = "trade_id,ticker,quantity,price,timestamp"
MARKED = f"{HEADER},reconciled"

Row = tuple[str, str]
"""State and reasons."""


def run(
    folder: Path, executions: Sequence[str], confirmations: Sequence[str], stored: StoredMatches | None = None
) -> tuple[dict[str, Row], Summary]:
    """Reconcile files, header first."""
    files = {Source.EXECUTIONS: executions, Source.CONFIRMATIONS: confirmations}
    inputs = written(folder, {source: "\n".join([*lines, ""]).encode() for source, lines in files.items()})
    out = folder / "out.csv"
    summary = reconcile(
        Run(inputs, FOUNDING, out, Format.CSV, folder / "rejects.csv", processors=1, stored=stored), lambda _: None
    )
    return {row["trade_id"]: (row["state"], row["reasons"]) for row in rows_of(out.read_bytes())}, summary


def test_only_new_rows_are_processed_and_their_results_are_those_of_a_file_without_the_others(tmp_path: Path) -> None:
    """DOMAIN.md F23: the executions are marked, the confirmations have no such column."""
    new = [f"T{number},{TERMS},{mark}" for number, mark in ((2, "false"), (3, ""), (4, "no"), (5, "0"))]
    old = [f"T{number},{TERMS},{mark}" for number, mark in ((0, "true"), (1, "TRUE"), (6, "1"), (7, "yes"))]
    theirs = [f"T{number},{TERMS}" for number in (0, 1, 2, 3, 6, 7)] + [f"T4,{TERMS.replace('190.50', '191')}"]
    found, summary = run(tmp_path, [MARKED, *old, *new], [HEADER, *theirs])
    assert found == {
        "T2": ("MATCHED", ""),
        "T3": ("MATCHED", ""),
        "T4": ("MISMATCHED", "PRICE_MISMATCH"),
        "T5": ("UNMATCHED", "MISSING_CONFIRMATION"),
    }
    assert summary.skipped == {Source.EXECUTIONS: 4, Source.CONFIRMATIONS: 4}
    alone = [line for line in theirs if line[:2] in found]
    assert run(tmp_path, [MARKED, *new], [HEADER, *alone])[0] == found


def test_a_mark_does_not_hide_a_break_that_a_file_without_marks_proves(tmp_path: Path) -> None:
    ours = [f"T1,{TERMS},true", f"T2,{TERMS},true"]
    theirs = [f"T1,{TERMS.replace('190.50', '99')}", f"T2,{TERMS}"]
    found, summary = run(tmp_path, [MARKED, *ours], [HEADER, *theirs])
    assert found == {"T1": ("MISMATCHED", "PRICE_MISMATCH")}
    assert summary.skipped.total() == 2


def test_a_new_row_that_contradicts_a_marked_one_is_a_changed_row(tmp_path: Path) -> None:
    executions = [MARKED, f"T1,{TERMS},true", f"T1,{TERMS.replace('100', '90')},false"]
    found, summary = run(tmp_path, executions, [HEADER, f"T1,{TERMS}"])
    assert found == {"T1": ("MISMATCHED", "DUPLICATE_CONFLICT;RECONCILED_ROW_CHANGED")}
    assert not summary.skipped


def test_marked_rows_that_contradict_each_other_are_a_changed_row(tmp_path: Path) -> None:
    executions = [MARKED, f"T1,{TERMS},true", f"T1,{TERMS.replace('100', '90')},true"]
    found, _ = run(tmp_path, executions, [MARKED, f"T1,{TERMS},true"])
    assert found == {"T1": ("MISMATCHED", "DUPLICATE_CONFLICT;RECONCILED_ROW_CHANGED")}


def test_a_new_version_and_a_new_side_are_judged_with_the_marked_rows(tmp_path: Path) -> None:
    executions = [
        f"{MARKED},version",
        f"T1,{TERMS},true,1",
        f"T1,{TERMS.replace('100', '90')},false,2",
        f"T2,{TERMS},true,1",
        f"T3,{TERMS},true,1",
        f"T3,{TERMS},false,1",
    ]
    found, summary = run(tmp_path, executions, [MARKED, f"T1,{TERMS},true", f"T2,{TERMS},false", f"T3,{TERMS},true"])
    assert found == {"T1": ("MISMATCHED", "QUANTITY_MISMATCH"), "T2": ("MATCHED", "")}
    assert summary.skipped == {Source.EXECUTIONS: 2, Source.CONFIRMATIONS: 1}


def test_the_members_of_a_group_do_not_contradict_each_other() -> None:
    legs = ours(member_id="F1"), ours(member_id="F2", quantity="50"), theirs(member_id="B1", quantity="150")
    rows = [MarkedRow(fact, marked=True) for fact in arrived(*legs)]
    assert settle(rows, None, asked=False) is SKIPPED
    (late,) = arrived(ours(member_id="F3", quantity="1"))
    settled = settle([*rows, MarkedRow(late, marked=False)], None, asked=False)
    assert (len(settled.facts), settled.changed) == (4, False)


@pytest.mark.parametrize("respelt", ["1,usd", "B,USD", "BUY,Usd"])
def test_a_row_that_only_spells_a_value_differently_is_the_same_row(tmp_path: Path, respelt: str) -> None:
    executions = [f"{MARKED},side,currency", f"T1,{TERMS},true,BUY,USD", f"T1,{TERMS},false,{respelt}"]
    found, summary = run(tmp_path, executions, [MARKED, f"T1,{TERMS},true"])
    assert (found, summary.skipped.total()) == ({}, 3)


def test_a_mark_that_is_neither_true_nor_false_is_rejected(tmp_path: Path) -> None:
    found, summary = run(tmp_path, [MARKED, f"T1,{TERMS},perhaps", f"T2,{TERMS},true"], [HEADER, f"T2,{TERMS}"])
    assert found == {}
    assert [(reject.line, reject.code) for reject in summary.rejects] == [(2, "SCHEMA_INVALID")]
    assert summary.rejects[0].text == "reconciled is 'perhaps': write true or false (yes, no, 1, 0)"


@pytest.mark.parametrize("column", ["Reconciled", "reconcilled"])
def test_a_misspelt_column_of_marks_refuses_the_file(tmp_path: Path, column: str) -> None:
    with pytest.raises(InputError, match=f"{column}.*did you mean reconciled"):
        run(tmp_path, [f"{HEADER},{column}", f"T1,{TERMS},true"], [HEADER, f"T1,{TERMS}"])


def test_a_trade_with_a_rejected_row_is_not_skipped(tmp_path: Path) -> None:
    """T1's execution has an unreadable mark, T2's an unreadable price; the confirmations are marked."""
    executions = [f"T1,{TERMS},ja", f"T2,{TERMS.replace('190.50', 'x')},true", f"T3,{TERMS},true"]
    confirmations = [f"{trade_id},{TERMS},true" for trade_id in ("T1", "T2", "T3")]
    found, summary = run(tmp_path, [MARKED, *executions], [MARKED, *confirmations])
    assert found == dict.fromkeys(("T1", "T2"), ("UNMATCHED", "MISSING_EXECUTION"))
    assert (summary.skipped.total(), summary.rejected.total()) == (2, 2)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredMatches:
    """A database with two matches, a cancelled pair and a break."""
    folder = tmp_path_factory.mktemp("stored")
    cancels = (ours(version=2, kind=Kind.CANCEL), theirs(version=2, kind=Kind.CANCEL))
    filled(
        folder,
        {
            "S1": (ours(), theirs()),
            "S2": (ours(), theirs()),
            "S3": (ours(), theirs(), *cancels),
            "S4": (ours(), theirs(price="191")),
        },
    )
    return StoredMatches(sqlite_url(folder / "traderecon.db"))


def line(trade_id: str, price: str = "190.50", quantity: str = "100") -> str:
    return f"{trade_id},AAPL,{quantity},{price},2025-07-26T10:01:23Z"


def test_the_stored_facts_are_those_of_matches(stored: StoredMatches) -> None:
    assert {trade_id: len(facts) for trade_id, facts in stored(["S1", "S3", "S4", "S9"]).items()} == {"S1": 2, "S3": 4}


def test_rows_that_the_database_has_as_matched_are_skipped(stored: StoredMatches, tmp_path: Path) -> None:
    """Marked or not; a break, an unknown trade and what is only marked are processed."""
    executions = [MARKED, f"{line('S1')},true", f"{line('S2')},false", f"{line('S4')},true", f"{line('S9')},true"]
    confirmations = [HEADER, line("S1"), line("S2"), line("S4", "191")]
    found, summary = run(tmp_path, executions, confirmations, stored)
    assert found == {"S4": ("MISMATCHED", "PRICE_MISMATCH"), "S9": ("UNMATCHED", "MISSING_CONFIRMATION")}
    assert summary.skipped == {Source.EXECUTIONS: 2, Source.CONFIRMATIONS: 2}


@pytest.mark.parametrize("mark", ["true", "false"])
def test_a_row_that_differs_from_what_was_reconciled_has_changed(
    stored: StoredMatches, tmp_path: Path, mark: str
) -> None:
    """Its partner need not be in the files: the stored leg is."""
    found, summary = run(tmp_path, [MARKED, f"{line('S1', quantity='90')},{mark}"], [HEADER, line("S2")], stored)
    assert found == {"S1": ("MISMATCHED", "DUPLICATE_CONFLICT;RECONCILED_ROW_CHANGED")}
    assert summary.skipped == {Source.CONFIRMATIONS: 1}


def test_a_stored_match_with_a_rejected_row_is_not_skipped(stored: StoredMatches, tmp_path: Path) -> None:
    found, summary = run(tmp_path, [HEADER, line("S1", "x"), line("S2")], [HEADER, line("S1"), line("S2")], stored)
    assert found == {"S1": ("MATCHED", "")}
    assert (summary.skipped.total(), summary.rejected.total()) == (2, 1)


def test_several_processes_ask_the_database_too(stored: StoredMatches, tmp_path: Path) -> None:
    inputs = written(
        tmp_path,
        {
            Source.EXECUTIONS: f"{HEADER}\n{line('S1')}\n{line('S9')}\n".encode(),
            Source.CONFIRMATIONS: f"{HEADER}\n".encode(),
        },
    )
    out = tmp_path / "out.csv"
    run_ = Run(inputs, FOUNDING, out, Format.CSV, tmp_path / "rejects.csv", processors=2, stored=stored)
    assert reconcile(run_, lambda _: None).skipped == {Source.EXECUTIONS: 1}
    assert [row["trade_id"] for row in rows_of(out.read_bytes())] == ["S9"]


def test_files_without_marks_go_the_fast_way(tmp_path: Path) -> None:
    inputs = written(
        tmp_path,
        {
            Source.EXECUTIONS: f"{HEADER}\n{line('S1')}\n".encode(),
            Source.CONFIRMATIONS: f"{HEADER}\n{line('S1')}\n".encode(),
        },
    )
    assert not left_by(inputs).summary.skipped
