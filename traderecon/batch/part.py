"""Part: every line of a range of trades -> its rows of the output, its rejects, its summary."""

import csv
import os
import signal
from itertools import accumulate
from pathlib import Path

import msgspec
import polars as pl

from traderecon.batch.outputs import Format, frame, write_part
from traderecon.batch.screen import Lines, Screen
from traderecon.batch.split import NO_LINES, Spill
from traderecon.batch.summary import Break, Summary
from traderecon.batch.table import row
from traderecon.intake import COLUMNS as FIELDS
from traderecon.intake import Rows
from traderecon.matching import MAX_FACTS, Arrival, add, judge, sides_of
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import Rules


class Job(msgspec.Struct, frozen=True):
    """What is the same for every part: the rules, the output's form, where parts go, whether the screen may help."""

    rules: Rules
    form: Format
    folder: Path
    screened: bool


class Chunks(msgspec.Struct, frozen=True):
    """One file, split: its source, name and header, and its chunks in order."""

    source: Source
    name: str
    header: str
    spills: list[Spill]

    def read(self, part: int) -> pl.DataFrame:
        """The lines of one part, by their ``number`` in the file; line 1 is the header."""
        first_lines = accumulate((spill.lines for spill in self.spills), initial=2)
        return pl.concat(
            [NO_LINES]
            + [
                spill.read(part).with_columns(pl.col("number") + first_line)
                for spill, first_line in zip(self.spills, first_lines, strict=False)
            ]
        )


class Judged(msgspec.Struct, frozen=True):
    """One part, done: rows and rejects (CSV: place of the file, line, file, code, text) on disk, and the summary."""

    rows: Path
    rejects: Path
    summary: Summary


def start_worker() -> None:
    """Set up a process that is one of several: one thread for the columns, and Ctrl-C is the parent's to handle."""
    os.putenv("POLARS_MAX_THREADS", "1")  # read when the first column is worked on
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def judge_part(number: int, files: list[Chunks], job: Job) -> Judged:
    """Screen, decode, gather and judge one part, as if every grace had passed."""
    summary = Summary()
    decoders = {file.source: Rows(file.source, file.header) for file in files}
    lines = {file.source: file.read(number) for file in files}
    for source, sent in lines.items():
        summary.rows[source] += len(sent)
    tables = []
    screen = Screen.of(job.rules) if job.screened else None
    if screen is not None and all(decoders[source].columns == FIELDS[source] for source in decoders):
        screened = screen.judge(lines)
        screened.sum_up(summary)
        tables.append(screened.rows())
        summary.breaks += _breaks(files, decoders, screened.worst, job.rules)
        lines = screened.others
    trades, rejects = _gather(files, decoders, lines, summary)
    tables.append(frame(_judge(trades, job.rules, summary)))
    path = job.folder / f"rows-{number:06d}"
    write_part(job.form, pl.concat(tables).sort("trade_id"), path)
    return Judged(path, _write_rejects(job.folder / f"rejects-{number:06d}", rejects), summary)


def _breaks(files: list[Chunks], decoders: dict[Source, Rows], lines: Lines, rules: Rules) -> list[Break]:
    """The breaks on these lines as the core sees them, with their legs and their checks."""
    apart = Summary()
    trades, _ = _gather(files, decoders, lines, apart)
    _judge(trades, rules, apart)
    return apart.breaks


def _gather(
    files: list[Chunks], decoders: dict[Source, Rows], lines: Lines, summary: Summary
) -> tuple[dict[str, tuple[Fact, ...]], list[list[Rejected]]]:
    """The facts of every trade on these lines; what is no fact, per file."""
    trades: dict[str, tuple[Fact, ...]] = {}
    rejects: list[list[Rejected]] = [[] for _ in files]
    for file, rejected in zip(files, rejects, strict=True):
        decode = decoders[file.source].decode
        for number, line in lines[file.source].select("number", "line").sort("number").iter_rows():
            fact = decode(line, Origin(file.name, 0, number))
            if isinstance(fact, Rejected):
                rejected.append(fact)
                continue
            trade_id = fact.leg.trade_id
            trades[trade_id], arrival = add(trades.get(trade_id, ()), fact)
            if arrival is Arrival.IDENTICAL:
                summary.duplicates[file.source] += 1
            elif arrival is Arrival.TOO_MANY:
                text = f"{trade_id} has {MAX_FACTS} facts already: this line is not among them"
                rejected.append(Rejected(RejectCode.TOO_MANY_FACTS, text, fact.origin))
    return trades, rejects


def _judge(trades: dict[str, tuple[Fact, ...]], rules: Rules, summary: Summary) -> list[tuple[str, ...]]:
    rows = []
    for trade_id, facts in trades.items():
        sides = sides_of(facts)
        verdict = judge(sides, FOREVER_NS, rules)
        if sides.execution is None and sides.confirmation is None:
            summary.pnl_alone += 1
        else:
            summary.judged(trade_id, sides, verdict)
            rows.append(row(trade_id, sides, verdict))
    return rows


def _write_rejects(path: Path, rejects: list[list[Rejected]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            (place, rejected.origin.offset, rejected.origin.topic, rejected.code.value, rejected.text)
            for place, of_one_file in enumerate(rejects)
            for rejected in of_one_file
        )
    return path
