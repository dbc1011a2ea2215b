"""Part: every line of a range of trades -> its rows of the output, its rejects, its summary."""

import csv
import os
import signal
from itertools import accumulate
from pathlib import Path

import msgspec
import polars as pl

from traderecon.batch.outputs import Format, frame, write_part
from traderecon.batch.split import NO_LINES, Spill
from traderecon.batch.summary import Break, Summary
from traderecon.batch.vectorized import Lines, VectorizedRules
from traderecon.intake import COLUMNS as FIELDS
from traderecon.intake import Rows
from traderecon.matching import Arrival, add, judge, sides_of
from traderecon.present.trade_row import row
from traderecon.records import Fact, Origin, Rejected, Source
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
    decoders = [Rows(file.source, file.header) for file in files]
    lines = [file.read(number) for file in files]
    for place, (file, sent) in enumerate(zip(files, lines, strict=True)):
        summary.rows[file.source] += len(sent)
        summary.lines[place] += len(sent)
    tables = []
    screen = VectorizedRules.of(job.rules) if job.screened else None
    if screen is not None and all(rows.columns == FIELDS[rows.source] for rows in decoders):
        screened = screen.judge(_by_source(files, lines))
        screened.sum_up(summary)
        tables.append(screened.rows())
        summary.breaks += _breaks(files, decoders, _by_file(files, screened.worst), job.rules)
        lines = _by_file(files, screened.others)
    trades, rejects = _gather(files, decoders, lines, summary)
    tables.append(frame(_judge(trades, job.rules, summary)))
    path = job.folder / f"rows-{number:06d}"
    write_part(job.form, pl.concat(tables).sort("trade_id"), path)
    return Judged(path, _write_rejects(job.folder / f"rejects-{number:06d}", rejects), summary)


def _by_source(files: list[Chunks], lines: list[pl.DataFrame]) -> Lines:
    """The lines of all files of each source, one behind the other, with the place of their file."""
    found: dict[Source, list[pl.DataFrame]] = {}
    for place, (file, sent) in enumerate(zip(files, lines, strict=True)):
        found.setdefault(file.source, []).append(sent.with_columns(pl.lit(place, pl.UInt32).alias("file")))
    return {source: pl.concat(each) for source, each in found.items()}


def _by_file(files: list[Chunks], lines: Lines) -> list[pl.DataFrame]:
    """The same lines, by file."""
    return [lines[file.source].filter(pl.col("file") == place) for place, file in enumerate(files)]


def _breaks(files: list[Chunks], decoders: list[Rows], lines: list[pl.DataFrame], rules: Rules) -> list[Break]:
    """The breaks on these lines as the core sees them, with their legs and their checks."""
    apart = Summary()
    trades, _ = _gather(files, decoders, lines, apart)
    _judge(trades, rules, apart)
    return apart.breaks


def _gather(
    files: list[Chunks], decoders: list[Rows], lines: list[pl.DataFrame], summary: Summary
) -> tuple[dict[str, tuple[Fact, ...]], list[list[Rejected]]]:
    """The facts of every trade on these lines; what is no fact, per file."""
    trades: dict[str, tuple[Fact, ...]] = {}
    rejects: list[list[Rejected]] = [[] for _ in files]
    for file, rows, sent, rejected in zip(files, decoders, lines, rejects, strict=True):
        decode = rows.decode
        for number, line in sent.select("number", "line").sort("number").iter_rows():
            fact = decode(line, Origin(file.name, 0, number))
            if isinstance(fact, Rejected):
                rejected.append(fact)
                continue
            trade_id = fact.leg.trade_id
            known = trades.get(trade_id, ())
            trades[trade_id], arrival = add(known, fact)
            if arrival is Arrival.IDENTICAL:
                summary.duplicates[file.source] += 1
            elif len(trades[trade_id]) == len(known):
                summary.stale[file.source] += 1
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
