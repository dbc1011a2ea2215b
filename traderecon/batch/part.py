"""Part: the lines of a range of trades -> their output rows, rejects and summary."""

import csv
import os
import signal
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path

import msgspec
import polars as pl

from traderecon.batch.inputs import is_plain
from traderecon.batch.outputs import Format, frame, write_part
from traderecon.batch.reconciled import COLUMN, MarkedRow, StoredFacts, as_changed, marked_row, repeated, settle
from traderecon.batch.split import NO_LINES, Spill
from traderecon.batch.summary import Break, Summary
from traderecon.batch.vectorized import Lines, VectorizedRules
from traderecon.intake import Rows, SourceSettings
from traderecon.matching import Arrival, add, effective_sides, judge, judge_facts
from traderecon.matching.assess import assess
from traderecon.matching.clocks import Clocks, merge
from traderecon.present.trade_row import row
from traderecon.records import Fact, Leg, Origin, PnlSnapshot, Rejected, Source
from traderecon.records.instants import FOREVER_NS
from traderecon.records.match_keys import as_ambiguous, has_partial_key, partial_id
from traderecon.rules import Rules


class Job(msgspec.Struct, frozen=True):
    """What all parts share: rules, output format, folder for the parts, and whether vectorized rules may be used.

    ``stored``: how to ask for the facts of trades that were reconciled before; None: only the marks of the rows count.
    """

    rules: Rules
    form: Format
    folder: Path
    vectorized: bool
    stored: StoredFacts | None = None


class Chunks(msgspec.Struct, frozen=True):
    """One split file: its source, name, header and settings, and its chunks in order."""

    source: Source
    name: str
    header: str
    settings: SourceSettings
    spills: list[Spill]

    def read(self, part: int) -> pl.DataFrame:
        """The lines of one part, with their ``number`` in the file; line 1 is the header."""
        first_lines = accumulate((spill.lines for spill in self.spills), initial=2)
        return pl.concat(
            [NO_LINES]
            + [
                spill.read(part).with_columns(pl.col("number") + first_line)
                for spill, first_line in zip(self.spills, first_lines, strict=False)
            ]
        )


class PartResult(msgspec.Struct, frozen=True):
    """One finished part: rows and rejects (CSV: index of the file, line, file, code, text) on disk, and the summary."""

    rows: Path
    rejects: Path
    summary: Summary


def start_worker() -> None:
    """Set up a process of the pool: a single Polars thread; the parent handles Ctrl-C."""
    os.putenv("POLARS_MAX_THREADS", "1")  # Polars reads it on first use
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def judge_part(number: int, files: list[Chunks], job: Job) -> PartResult:
    """Judge one part, as if every grace had passed: plain trades vectorized if possible, the others one by one."""
    summary = Summary()
    decoders = [Rows(file.source, file.header, file.settings) for file in files]
    lines = [file.read(number) for file in files]
    for index, (file, part) in enumerate(zip(files, lines, strict=True)):
        summary.rows[file.source] += len(part)
        summary.lines[index] += len(part)
    tables = []
    vectorized = VectorizedRules.of(job.rules) if job.vectorized and job.stored is None else None
    if vectorized is not None and all(map(is_plain, decoders)):
        result = vectorized.judge(_by_source(files, lines))
        result.add_to(summary)
        tables.append(result.rows())
        summary.breaks += _breaks(files, decoders, _by_file(files, result.worst), job.rules)
        lines = _by_file(files, result.others)
    changed: frozenset[str] = frozenset()
    if job.stored is not None or any(COLUMN in rows.columns for rows in decoders):
        trades, changed, rejects = _collect_unreconciled(files, decoders, lines, summary, job)
    else:
        trades, rejects = _collect(files, decoders, lines, summary)
    tables.append(frame(_judge(trades, job.rules, summary, changed)))
    path = job.folder / f"rows-{number:06d}"
    table = pl.concat(tables)
    write_part(job.form, table if job.rules.match_key else table.sort("trade_id"), path)
    return PartResult(path, _write_rejects(job.folder / f"rejects-{number:06d}", rejects), summary)


def _by_source(files: list[Chunks], lines: list[pl.DataFrame]) -> Lines:
    """The lines of all files of each source, concatenated, with the index of their file."""
    tables: dict[Source, list[pl.DataFrame]] = {}
    for index, (file, part) in enumerate(zip(files, lines, strict=True)):
        tables.setdefault(file.source, []).append(part.with_columns(pl.lit(index, pl.UInt32).alias("file")))
    return {source: pl.concat(of_source) for source, of_source in tables.items()}


def _by_file(files: list[Chunks], lines: Lines) -> list[pl.DataFrame]:
    """The same lines, by file."""
    return [lines[file.source].filter(pl.col("file") == index) for index, file in enumerate(files)]


def _breaks(files: list[Chunks], decoders: list[Rows], lines: list[pl.DataFrame], rules: Rules) -> list[Break]:
    """The breaks on these lines, with their legs and checks, as the core judges them."""
    summary = Summary()
    trades, _ = _collect(files, decoders, lines, summary)
    _judge(trades, rules, summary)
    return summary.breaks


def _collect(
    files: list[Chunks], decoders: list[Rows], lines: list[pl.DataFrame], summary: Summary
) -> tuple[dict[str, tuple[Fact, ...]], list[list[Rejected]]]:
    """The facts of every trade on these lines, and the rejected lines per file."""
    trades: dict[str, tuple[Fact, ...]] = {}
    rejects: list[list[Rejected]] = [[] for _ in files]
    for file, rows, part, rejected in zip(files, decoders, lines, rejects, strict=True):
        decode = rows.decode
        for number, line in part.select("number", "line").sort("number").iter_rows():
            fact = decode(line, Origin(file.name, 0, number))
            if isinstance(fact, Rejected):
                rejected.append(fact)
                continue
            trade_id = fact.leg.trade_id
            facts = trades.get(trade_id, ())
            trades[trade_id], arrival = add(facts, fact)
            if arrival is Arrival.IDENTICAL:
                summary.duplicates[file.source] += 1
            elif len(trades[trade_id]) == len(facts):
                summary.outranked[file.source] += 1
    for sent_id, namesakes in _shared_ids(fact.leg for facts in trades.values() for fact in facts).items():
        for fact in trades.pop(sent_id):
            shared = as_ambiguous(fact) if len(namesakes) > 1 else fact
            for trade_id in namesakes:
                trades[trade_id], _ = add(trades[trade_id], shared)
    return trades, rejects


def _collect_unreconciled(
    files: list[Chunks],
    decoders: list[Rows],
    lines: list[pl.DataFrame],
    summary: Summary,
    job: Job,
) -> tuple[dict[str, tuple[Fact, ...]], frozenset[str], list[list[Rejected]]]:
    """As ``_collect``, without the trades that were reconciled before; and those of them that have changed since."""
    stored, rules = job.stored, job.rules
    marked: dict[str, list[MarkedRow]] = {}
    unreadable: set[str] = set()
    rejects: list[list[Rejected]] = [[] for _ in files]
    for file, rows, part, rejected in zip(files, decoders, lines, rejects, strict=True):
        has_column = COLUMN in rows.columns
        for number, line in part.select("number", "line").sort("number").iter_rows():
            fact = rows.decode(line, Origin(file.name, 0, number))
            row_or_reject = fact if isinstance(fact, Rejected) else marked_row(fact, has_column=has_column)
            if isinstance(row_or_reject, Rejected):
                rejected.append(row_or_reject)
                unreadable.add(rows.key(line))
            else:
                marked.setdefault(row_or_reject.fact.leg.trade_id, []).append(row_or_reject)
    legs = [it.fact.leg for of_trade in marked.values() for it in of_trade]
    for sent_id, namesakes in _shared_ids(legs, stored).items():
        for it in marked.pop(sent_id):
            shared = it._replace(fact=as_ambiguous(it.fact)) if len(namesakes) > 1 else it
            for trade_id in namesakes:
                marked.setdefault(trade_id, []).append(shared)
    matches = {} if stored is None else stored(list(marked))
    trades: dict[str, tuple[Fact, ...]] = {}
    changed = set()
    for trade_id, of_trade in marked.items():
        sent_id, _ = _by_sent_id((trade_id, [it.fact for it in of_trade]))
        rejected_too = sent_id in unreadable
        settled = settle(of_trade, matches.get(trade_id), asked=stored is not None, rejected=rejected_too)
        agrees = settled.skip_unless_break and not judge_facts(settled.facts, FOREVER_NS, rules).state.is_break
        if agrees or not settled.facts:
            summary.skipped.update(it.fact.leg.source for it in of_trade)
            continue
        trades[trade_id] = settled.facts
        summary.duplicates.update(repeated(of_trade))
        if settled.changed:
            changed.add(trade_id)
    return trades, frozenset(changed), rejects


def _shared_ids(legs: Iterable[Leg], stored: StoredFacts | None = None) -> dict[str, list[str]]:
    """The ids that records with a partial key lie under -> the trades that they may be about, if there are any.

    Such a trade is in the files, or in the database. A snapshot alone claims none.
    """
    namesakes: dict[str, set[str]] = {}
    partial: dict[str, str] = {}
    for leg in legs:
        if leg.sent_id is None:
            continue
        if has_partial_key(leg):
            partial[leg.trade_id] = leg.sent_id
        elif not isinstance(leg, PnlSnapshot):
            namesakes.setdefault(partial_id(leg.sent_id), set()).add(leg.trade_id)
    if stored is not None and partial:
        for sent_id, trade_ids in stored.namesakes([*partial.values()]).items():
            namesakes.setdefault(partial_id(sent_id), set()).update(trade_ids)
    return {sent_id: sorted(namesakes[sent_id]) for sent_id in sorted(partial.keys() & namesakes.keys())}


def _judge(
    trades: dict[str, tuple[Fact, ...]], rules: Rules, summary: Summary, changed: frozenset[str] = frozenset()
) -> list[tuple[str, ...]]:
    rows, clocks = [], Clocks()
    for trade_id, facts in sorted(trades.items(), key=_by_sent_id) if rules.match_key else trades.items():
        sides = effective_sides(facts, rules)
        verdict = judge(sides, FOREVER_NS, rules)
        if trade_id in changed:
            verdict = as_changed(verdict)
        lies_alone = has_partial_key(facts[0].leg) and facts[0].leg.trade_id == trade_id
        if lies_alone or (sides.execution is None and sides.confirmation is None):
            summary.add_orphan(trade_id)
        else:
            assessment = assess(sides, verdict, rules)
            summary.add_trade(trade_id, sides, verdict, assessment)
            if sides.have_attributes:
                clocks.add(sides, verdict)
            rows.append(row(trade_id, sides, verdict, assessment))
    merge(summary.drifts, clocks.drifts.items())
    return rows


def _by_sent_id(trade: tuple[str, Sequence[Fact]]) -> tuple[str, str]:
    """The order of the parts, whose trades are split by the trade_id that was sent."""
    trade_id, facts = trade
    return facts[0].leg.sent_id or trade_id, trade_id


def _write_rejects(path: Path, rejects: list[list[Rejected]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            (index, rejected.origin.offset, rejected.origin.topic, rejected.code.value, rejected.text)
            for index, of_file in enumerate(rejects)
            for rejected in of_file
        )
    return path
