"""Logs cut and filled again under lagging readers: every trial is refused or complete, never silent.

    python -m simulation.surgery --trials 300 --seed 1 --reports DIR     trials with a report in DIR are not run again
    python -m simulation.surgery --replay 17                             one trial, with what went wrong
    python -m simulation.surgery --trials 60 --bug believe-the-offset    is a silent loss found?

A trial is a day of the simulation in which one partition (of an input, the journal, an output, the accounts, the
changelog) loses a random tail and gets random records in its place: fewer, as many, or more. Complete: every record
still in the inputs is a fact of its trade or a dead letter, and the last published result of each trade is in the
database. Refused: a worker stopped with exit code 78. Silent: neither.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from simulation.plan import Fault, Kind, Plan, Surgery, draw_plan

TOPICS = (
    "executions",
    "broker_confirmations",
    "pnl_snapshot",
    "legs",
    "legs",
    "reconciled",
    "mismatch",
    "dead_letters",
    "accounts",
    "traderecon-matching-trades-changelog",
)
CHUNK = 20
REFUSED, COMPLETE, SILENT = "refused", "complete", "silent"
REFUSAL_MARKS = ("exit 78", "OffsetOutOfRange", "OffsetOutOfRange(")


class Trial(NamedTuple):
    """The outcome of one seed."""

    seed: int
    outcome: str
    surgery: list[Any]
    evidence: str


def trial_plan(seed: int) -> Plan:
    """A day with one surgery, and no other fault that stops a worker."""
    chance = random.Random(f"surgery {seed}")
    plan = draw_plan(seed)
    surgery = Surgery(
        topic=chance.choice(TOPICS),
        partition=chance.randrange(4),
        cut=chance.choice((0.1, 0.3, 0.6, 1.0)),
        refill=chance.choice((0, 1, 3, 10, 40)),
        paused_roles=tuple(role for role in ("intake", "matching", "sink") if chance.random() < 0.4),
        pause_s=round(chance.uniform(0.0, 4.0), 3),
        workers_alive=chance.random() < 0.3,
        compacted=chance.random() < 0.3,
    )
    inject_at_s = round(chance.uniform(1.0, plan.day.duration_s + 5.0), 3)
    return plan._replace(crashes=(), faults=(Fault(inject_at_s, Kind.CUT),), surgery=surgery)


def trial(seed: int, bench: Any) -> Trial:
    """Play one seed."""
    from simulation.world import simulate

    plan = trial_plan(seed)
    outcome, world = simulate(plan, bench)
    refusals = [reason for reason in outcome.unexpected if any(mark in reason for mark in REFUSAL_MARKS)]
    missing = _lost_records(world)
    world.log.close()
    surgery = list(plan.surgery or ())
    if refusals:
        return Trial(seed, REFUSED, surgery, refusals[0])
    if outcome.unexpected:
        return Trial(seed, SILENT, surgery, f"unexpected end: {outcome.unexpected[0]}")
    if not outcome.settled:
        return Trial(seed, SILENT, surgery, "the trial never settled, and no worker gave a reason")
    return Trial(seed, SILENT if missing else COMPLETE, surgery, "; ".join(missing[:3]))


def _lost_records(world: Any) -> list[str]:  # noqa: PLR0912  # a list of checks
    """Input records and published results that were lost."""
    from torture.pipeline_database import read_database
    from torture.pipeline_input import row_of

    from simulation.verdict import compacted, entries
    from simulation.world import CHANGELOG

    changelog = entries(world, CHANGELOG)
    removed = {(role, record.value) for role in world.topics.inputs for record in world.removed_records}
    facts: set[tuple[str, int, int]] = set()
    trades: set[tuple[str, str]] = set()
    last: dict[str, Any] = {}
    for partition in range(world.partitions[CHANGELOG]):
        for key, value in compacted([record for record in changelog if record.partition == partition]).items():
            if key.startswith(b"f"):
                fact = json.loads(value.partition(b" ")[2])
                trades.add((fact["origin"]["topic"], fact["leg"]["trade_id"]))
                facts.add((fact["origin"]["topic"], fact["origin"]["partition"], fact["origin"]["offset"]))
            elif key.startswith(b"e"):
                last[key[1:].decode()] = json.loads(value.partition(b" ")[2])
    database = read_database(world.bench.directory / "traderecon.db")
    dead_letters = {
        (row["source_topic"], row["source_partition"], row["source_offset"]) for row in database.dead_letters
    }
    lost: list[str] = []
    first_origin: dict[tuple[str, bytes | None], tuple[str, int, int]] = {}
    for role in world.topics.inputs:
        for entry in entries(world, role):
            row, origin = row_of(role, entry.value), (role, entry.partition, entry.offset)
            # A copy of an earlier record is the same fact, with the origin of the earlier one.
            first = first_origin.setdefault((role, entry.value), origin)
            if row is None:
                if origin not in dead_letters and first not in dead_letters:
                    lost.append(f"{origin} is no leg, and no dead letter")
            elif (role, entry.value) in removed:
                # The same leg was among the records that were cut: its fact may have that origin.
                if (role, row["trade_id"]) not in trades:
                    lost.append(f"{origin}, a leg of {row['trade_id']}, is no fact")
            elif not facts & {origin, first, *_same_bytes(world, role, entry.value)}:
                lost.append(f"{origin}, a leg of {row['trade_id']}, is no fact")
    stored = {(row["trade_id"], row["version"]): row["event_id"] for row in database.result_history}
    for trade_id, published in sorted(last.items()):
        if stored.get((trade_id, published["version"])) != published["event_id"]:
            lost.append(f"version {published['version']} of {trade_id} was published, and is not in the database")
    return lost


def _same_bytes(world: Any, role: str, value: bytes | None) -> list[tuple[str, int, int]]:
    """The origin of every record of an input that has the same bytes."""
    from simulation.verdict import entries

    return [(role, entry.partition, entry.offset) for entry in entries(world, role) if entry.value == value]


def run() -> int:
    """The command."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "simulation.surgery", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    parser = argparse.ArgumentParser(
        prog="simulation.surgery", description="Cut logs, and check that no loss goes unnoticed."
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument(
        "--reports", type=Path, metavar="DIR", help="write a report per 20 trials, and reuse those present"
    )
    parser.add_argument("--replay", type=int, metavar="SEED")
    parser.add_argument("--bug", default="", help="build this defect into the pipeline, to see it found")
    options = parser.parse_args()
    if options.bug:
        from torture.pipeline_bugs import BUGS

        BUGS[options.bug]()
    directory = Path(tempfile.mkdtemp(prefix="surgery-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        from simulation.world import Bench

        bench = Bench(directory)
        if options.replay is not None:
            trials = [trial(options.replay, bench)]
        else:
            trials = [result for first in range(0, options.trials, CHUNK) for result in _chunk(options, first, bench)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    counts = Counter(result.outcome for result in trials)
    for result in trials:
        if result.outcome == SILENT or options.replay is not None:
            sys.stderr.write(f"seed {result.seed}: {result.outcome}: {result.surgery}: {result.evidence}\n")
    sys.stdout.write(
        f"{len(trials)} trials | {counts[REFUSED]} refused | {counts[COMPLETE]} complete | {counts[SILENT]} SILENT\n"
    )
    return 1 if counts[SILENT] else 0


def _chunk(options: argparse.Namespace, first: int, bench: Any) -> list[Trial]:
    """Twenty trials, from their report if there is one."""
    seeds = range(options.seed + first, options.seed + min(first + CHUNK, options.trials))
    report = options.reports / f"surgery-{seeds.start}-{seeds.stop - 1}.json" if options.reports else None
    if report is not None and report.exists():
        return [Trial(**result) for result in json.loads(report.read_text())]
    trials = [trial(seed, bench) for seed in seeds]
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        partial_report = report.with_suffix(".part")
        partial_report.write_text(json.dumps([result._asdict() for result in trials], indent=1))
        partial_report.rename(report)
    return trials


if __name__ == "__main__":
    sys.exit(run())
