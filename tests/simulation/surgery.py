"""Logs cut and filled again under readers that lag: every trial is refused or complete, never silent.

    python -m simulation.surgery --trials 300 --seed 1 --reports DIR     what DIR has already is not run again
    python -m simulation.surgery --replay 17                             one trial, with what was wrong
    python -m simulation.surgery --trials 60 --bug believe-the-offset    is a silent loss found?

A trial is a day of the simulation in which one partition (of an input, the journal, an output, the accounts, the
changelog) loses a random tail and gets random records in its place: shorter, equal, longer. Complete: every record the
inputs have then is a fact of its trade or a dead letter, and what matching has published last of a trade is in the
database. Silent: neither that nor a worker that said 78.
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

from simulation.plan import Fault, Kind, Plan, Surgery, planned

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
SAID = ("exit 78", "OffsetOutOfRange", "OffsetOutOfRange(")


class Trial(NamedTuple):
    """What came of one seed."""

    seed: int
    outcome: str
    surgery: list[Any]
    said: str


def trial_plan(seed: int) -> Plan:
    """A day with one operation, and nothing else that ends anybody."""
    chance = random.Random(f"surgery {seed}")
    plan = planned(seed)
    surgery = Surgery(
        topic=chance.choice(TOPICS),
        partition=chance.randrange(4),
        cut=chance.choice((0.1, 0.3, 0.6, 1.0)),
        refill=chance.choice((0, 1, 3, 10, 40)),
        held=tuple(role for role in ("intake", "matching", "sink") if chance.random() < 0.4),
        hold_s=round(chance.uniform(0.0, 4.0), 3),
        alive=chance.random() < 0.3,
        compacted=chance.random() < 0.3,
    )
    at_s = round(chance.uniform(1.0, plan.day.lasts_s + 5.0), 3)
    return plan._replace(crashes=(), faults=(Fault(at_s, Kind.CUT),), surgery=surgery)


def trial(seed: int, bench: Any) -> Trial:
    """Play one seed."""
    from simulation.world import simulate

    plan = trial_plan(seed)
    outcome, world = simulate(plan, bench)
    refusals = [end for end in outcome.unexpected if any(word in end for word in SAID)]
    missing = _missing(world)
    world.log.close()
    surgery = list(plan.surgery or ())
    if refusals:
        return Trial(seed, REFUSED, surgery, refusals[0])
    if outcome.unexpected:
        return Trial(seed, SILENT, surgery, f"another end: {outcome.unexpected[0]}")
    if not outcome.settled:
        return Trial(seed, SILENT, surgery, "nothing is settled, and nobody has said why")
    return Trial(seed, SILENT if missing else COMPLETE, surgery, "; ".join(missing[:3]))


def _missing(world: Any) -> list[str]:  # noqa: PLR0912  # one question after the other
    """What was passed over: a record of an input, a published result."""
    from torture.pipeline_database import read_database
    from torture.pipeline_input import row_of

    from simulation.verdict import entries, folded
    from simulation.world import CHANGELOG

    changelog = entries(world, CHANGELOG)
    gone = {(role, record.value) for role in world.topics.inputs for record in world.cut_records}
    facts: set[tuple[str, int, int]] = set()
    trades: set[tuple[str, str]] = set()
    last: dict[str, Any] = {}
    for partition in range(world.partitions[CHANGELOG]):
        for key, value in folded([one for one in changelog if one.partition == partition]).items():
            if key.startswith(b"f"):
                fact = json.loads(value.partition(b" ")[2])
                trades.add((fact["origin"]["topic"], fact["leg"]["trade_id"]))
                facts.add((fact["origin"]["topic"], fact["origin"]["partition"], fact["origin"]["offset"]))
            elif key.startswith(b"e"):
                last[key[1:].decode()] = json.loads(value.partition(b" ")[2])
    database = read_database(world.bench.directory / "traderecon.db")
    letters = {(row["source_topic"], row["source_partition"], row["source_offset"]) for row in database.dead_letters}
    said: list[str] = []
    seen: dict[tuple[str, bytes | None], tuple[str, int, int]] = {}
    for role in world.topics.inputs:
        for entry in entries(world, role):
            row, place = row_of(role, entry.value), (role, entry.partition, entry.offset)
            # A copy of an earlier record is the same fact, and lies where that one does.
            first = seen.setdefault((role, entry.value), place)
            if row is None:
                if place not in letters and first not in letters:
                    said.append(f"{place} is no leg, and no dead letter")
            elif (role, entry.value) in gone:
                # The same leg lay at a place that was cut: that is where its fact came from.
                if (role, row["trade_id"]) not in trades:
                    said.append(f"{place}, a leg of {row['trade_id']}, is no fact")
            elif not facts & {place, first, *_same(world, role, entry.value)}:
                said.append(f"{place}, a leg of {row['trade_id']}, is no fact")
    stored = {(row["trade_id"], row["version"]): row["event_id"] for row in database.result_history}
    for trade_id, told in sorted(last.items()):
        if stored.get((trade_id, told["version"])) != told["event_id"]:
            said.append(f"version {told['version']} of {trade_id} was published, and is not in the database")
    return said


def _same(world: Any, role: str, value: bytes | None) -> list[tuple[str, int, int]]:
    """Every place where the same bytes lie in an input."""
    from simulation.verdict import entries

    return [(role, one.partition, one.offset) for one in entries(world, role) if one.value == value]


def run() -> int:
    """The command."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "simulation.surgery", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    parser = argparse.ArgumentParser(prog="simulation.surgery", description="Cut logs: does anybody notice?")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument(
        "--reports", type=Path, metavar="DIR", help="write a report for every 20 trials, and run each once"
    )
    parser.add_argument("--replay", type=int, metavar="SEED")
    parser.add_argument("--bug", default="", help="build this bug in, to see whether it is found")
    options = parser.parse_args()
    if options.bug:
        from torture.pipeline_bugs import BUGS

        BUGS[options.bug]()
    directory = Path(tempfile.mkdtemp(prefix="surgery-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        from simulation.world import Bench

        bench = Bench(directory)
        if options.replay is not None:
            told = [trial(options.replay, bench)]
        else:
            told = [one for first in range(0, options.trials, CHUNK) for one in _chunk(options, first, bench)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    counts = Counter(one.outcome for one in told)
    for one in told:
        if one.outcome == SILENT or options.replay is not None:
            sys.stderr.write(f"seed {one.seed}: {one.outcome}: {one.surgery}: {one.said}\n")
    sys.stdout.write(
        f"{len(told)} trials | {counts[REFUSED]} refused | {counts[COMPLETE]} complete | {counts[SILENT]} SILENT\n"
    )
    return 1 if counts[SILENT] else 0


def _chunk(options: argparse.Namespace, first: int, bench: Any) -> list[Trial]:
    """Twenty trials, from their report where there is one."""
    seeds = range(options.seed + first, options.seed + min(first + CHUNK, options.trials))
    report = options.reports / f"surgery-{seeds.start}-{seeds.stop - 1}.json" if options.reports else None
    if report is not None and report.exists():
        return [Trial(**one) for one in json.loads(report.read_text())]
    told = [trial(seed, bench) for seed in seeds]
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        write_batch = report.with_suffix(".part")
        write_batch.write_text(json.dumps([one._asdict() for one in told], indent=1))
        write_batch.rename(report)
    return told


if __name__ == "__main__":
    sys.exit(run())
