"""What a simulated day must come to: the batch over its files; and what the pipeline made of the same day.

batch_of(installation, day) -> Truth        assert_as_in_batch(installation, truth, worker)
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline_case import Installation, Running

from traderecon.records import Hint

LATE_HINTS = {Hint.LATE_CONFIRMATION, Hint.LATE_EXECUTION}
"""Hints that come from the order of arrival."""
ARRIVAL_HINTS = LATE_HINTS | {Hint.FUTURE_TIMESTAMP, Hint.KEY_MISMATCH, Hint.SOURCE_WAS_SILENT}
"""Hints that come from arrival times and keys, which files have not."""

Row = Mapping[str, str]


class Day(NamedTuple):
    """The arguments of a simulated day."""

    trades: int
    seed: int = 7
    profile: str = "hostile"

    @property
    def arguments(self) -> list[str]:
        """For the command line."""
        return ["--trades", str(self.trades), "--seed", str(self.seed), "--profile", self.profile]


class Truth(NamedTuple):
    """The batch's rows by trade, and how many rows it rejected, by file and code."""

    rows: Mapping[str, Row]
    rejects: Counter[tuple[str, str]]


def batch_of(installation: Installation, day: Day) -> Truth:
    """Reconcile the day's files."""
    folder = installation.directory / "day"
    installation.run("simulate", *day.arguments, "--csv", folder)
    out, rejects = folder / "batch.csv", folder / "rejects.csv"
    executions, confirmations, pnl = (folder / f"{name}.csv" for name in installation.topics._fields[:3])
    sides = ("--executions", executions, "--confirmations", confirmations)
    installation.run("reconcile", *sides, "--pnl", pnl, "--out", out, "--rejects", rejects)
    return Truth(_by_trade(out.read_text(encoding="utf-8")), _rejects(rejects))


def assert_as_in_batch(installation: Installation, truth: Truth, worker: Running) -> None:
    """Database and download say of every trade what the batch says, once; rejected rows are dead letters."""
    found = _by_trade(worker.get("/download/csv").decode())
    assert found.keys() == truth.rows.keys()
    differing = {trade: (found[trade], row) for trade, row in truth.rows.items() if found[trade] != row}
    assert not differing, f"{len(differing)} trades differ, one of them: {next(iter(differing.values()))}"
    assert installation.one("SELECT count(*) FROM results") == len(truth.rows)
    letters = installation.rows("SELECT source_topic, code FROM dead_letters")
    inputs = installation.topics.inputs
    told = Counter((str(inputs[topic]), code) for topic, code in letters)
    more, fewer = told - truth.rejects, truth.rejects - told
    assert not more, f"dead letters that no row has: {more}"
    assert not fewer, f"rejected rows that have no dead letter: {fewer}"
    assert_history_holds(installation)


def assert_history_holds(installation: Installation) -> None:
    """No result is there twice, no version has two; the newest is in ``results``; open breaks are the broken trades."""
    assert installation.rows("SELECT event_id FROM result_history GROUP BY event_id HAVING count(*) > 1") == []
    twice = "SELECT trade_id, version FROM result_history GROUP BY trade_id, version HAVING count(*) > 1"
    assert installation.rows(twice) == []
    newest = "SELECT trade_id, max(version) FROM result_history GROUP BY trade_id EXCEPT SELECT trade_id, version "
    assert installation.rows(f"{newest} FROM results") == []
    broken = "SELECT trade_id FROM results WHERE state IN ('MISMATCHED', 'UNMATCHED')"
    is_open = "SELECT trade_id FROM breaks WHERE status <> 'RESOLVED'"
    assert set(installation.rows(broken)) == set(installation.rows(is_open))


def _by_trade(text: str) -> dict[str, Row]:
    rows = list(csv.DictReader(io.StringIO(text)))
    found: dict[str, Row] = {row["trade_id"]: {**row, "hints": _timeless(row["hints"])} for row in rows}
    assert len(found) == len(rows)
    return found


def _timeless(hints: str) -> str:
    return ";".join(hint for hint in hints.split(";") if hint not in ARRIVAL_HINTS)


def _rejects(path: Path) -> Counter[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(Path(row["file"]).stem, row["code"]) for row in csv.DictReader(file)]
        return Counter((topic, code) for topic, code in rows)
