"""The pipeline on the embedded log, killed again and again: what topics and database say at the end is right.

    python -m torture.pipeline_lives --lives 200 --seed 1     one line; exit 0 when the oracle finds nothing

A life is a fork of this process, which has everything imported: it is ``traderecon worker`` with every role, and
SIGKILL ends it after a moment drawn from the seed, most often at work. Now and then its home is removed, or the
database, which the topics can make again. The feed goes on in the parent, which appends to the same log. The last life
may finish, and the oracle judges.
"""

import argparse
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

from groups import group_of

from torture.findings import Entry, Finding
from torture.lives import born, entries, killed, pause
from torture.pipeline_bugs import BUGS
from torture.pipeline_database import read_database
from torture.pipeline_feed import simulated
from torture.pipeline_logs import judge_logs
from torture.pipeline_oracle import (
    ACCOUNTS,
    CHANGELOG,
    CHECKPOINTS,
    INPUTS,
    LEGS,
    OUTPUTS,
    PARTITIONS,
    STANDINGS,
    PipelineHistory,
)
from torture.pipeline_pages import judge_pages
from torture.pipeline_workload import INPUT_PARTITIONS, MONOTONIC
from torture.plan import Record
from torture.stores import judge_stores
from traderecon import app, cli, preflight
from traderecon.transport.log import Log
from traderecon.transport.log.open_log import NAME

READY = (app, preflight)
"""What a worker imports late is imported here, so that a life begins at once."""
NAMES = {role: role for role in (*INPUTS, LEGS, *OUTPUTS, STANDINGS)}
READERS = {**dict.fromkeys(INPUTS, "intake"), LEGS: "matching"} | dict.fromkeys(OUTPUTS, "sink")
"""Which stage reads what."""
BESIDE = {ACCOUNTS: ACCOUNTS, CHECKPOINTS: CHECKPOINTS, CHANGELOG: "traderecon-matching-trades-changelog"}
"""What workers make for themselves, and what is judged where it is there."""
GRACE_S = 1
WORDS = ["traderecon", "worker"]

RECORDS_A_LIFE = 30
WIPED = 0.1
DATABASE_LOST = 0.05
BUSY = 0.7
"""So many are killed at work, however slow the machine is."""
LONGEST_BUSY_S = 0.8
LONGEST_S = 1.5
POLL_S = 0.01
STEP_S = 0.2
FINISH_S = 120


class Desk:
    """A data directory with its log, what was fed to it, and a worker now and then."""

    def __init__(self, directory: Path, bug: str) -> None:
        self.directory, self.bug = directory, bug
        self.log = Log.open(directory / NAME)
        self.acknowledged: dict[str, list[Entry]] = {role: [] for role in INPUTS}
        self.fed_at_s = 0.0
        for role in NAMES:
            self.log.create(role, INPUT_PARTITIONS.get(role, PARTITIONS), compacted=role == STANDINGS)

    @property
    def fed(self) -> int:
        """How many records were fed."""
        return sum(map(len, self.acknowledged.values()))

    @property
    def produced(self) -> int:
        """How many records the outputs have."""
        return sum(self.log.end(role, number) for role in OUTPUTS for number in range(PARTITIONS))

    def feed(self, records: Iterable[Record]) -> None:
        """Append records to the inputs."""
        for role, partition, key, value in records:
            self.fed_at_s = time.time()
            (base,) = self.log.append([(role, partition, [(key, value, int(self.fed_at_s * 1000), ())])])
            self.acknowledged[role].append(Entry(partition, base, key, value))

    def worker(self) -> int:
        """A life."""
        return born(self.directory / "worker.log", partial(begin, self.directory, self.bug))

    def history(self) -> PipelineHistory:
        """What everything says now, in the order the oracle asks for."""
        committed = {
            (role, number): offset
            for role, stage in READERS.items()
            for (_, number), offset in self.log.committed(
                group_of("", stage, self.directory / "traderecon.db"), self._places(role)
            ).items()
        }
        database = read_database(self.directory / "traderecon.db")
        there = {topic.name for topic in self.log.topics()}
        beside = {role: entries(self.log, name) for role, name in BESIDE.items() if name in there}
        topics = {**beside, **{role: entries(self.log, role) for role in reversed(NAMES)}}
        return PipelineHistory(
            NAMES | {ACCOUNTS: ACCOUNTS}, self.fed_at_s + GRACE_S, self.acknowledged, committed, database, topics
        )

    def _places(self, role: str) -> list[tuple[str, int]]:
        return [(role, number) for number in range(self.log.partitions(role))]


def begin(directory: Path, bug: str) -> None:
    """Be a worker on this directory."""
    os.environ |= {"TRADERECON_DATA_DIR": str(directory), "TRADERECON_GRACE_SECONDS": str(GRACE_S)}
    os.chdir(directory)
    if bug:
        BUGS[bug]()
    sys.argv = WORDS
    try:
        cli.main()
    except SystemExit as end:
        logging.shutdown()
        os._exit(end.code if isinstance(end.code, int) else 0)


def live(lives: int, seed: int, desk: Desk, say: Callable[[str], object], *, death_seed: int) -> tuple[list[str], str]:
    """Every life, then the judgement: what is wrong, and the run in one line. ``death_seed`` decides the deaths."""
    rng = random.Random(death_seed)
    feed = simulated(seed, max(lives, 1) * RECORDS_A_LIFE)
    rest = iter(feed.records)
    for life in range(lives):
        desk.feed(islice(rest, RECORDS_A_LIFE))
        said, child = desk.produced, desk.worker()
        if rng.random() < BUSY:
            until = time.monotonic() + FINISH_S
            while desk.produced == said and time.monotonic() < until:
                pause(POLL_S)
            pause(rng.uniform(0, LONGEST_BUSY_S))
        else:
            pause(rng.uniform(0, LONGEST_S))
        ended = killed(child)
        if ended != -signal.SIGKILL:
            return [f"life {life} ended by itself: {ended}"], f"seed {seed}: see {desk.directory}"
        if rng.random() < WIPED:
            shutil.rmtree(desk.directory / "worker-0", ignore_errors=True)
        if rng.random() < DATABASE_LOST:
            for path in desk.directory.glob("traderecon.db*"):
                path.unlink()
        if life % 10 == 9:
            say(f"{life + 1} lives, {desk.fed} records, {desk.produced} outputs")
    desk.feed((*rest, *feed.epilogue))
    before = desk.history()
    worker_log = desk.directory / "worker.log"
    born_at = worker_log.stat().st_size if worker_log.exists() else 0
    child = desk.worker()
    until = time.monotonic() + FINISH_S
    while (found := desk.history()).unsettled() and time.monotonic() < until:
        pause(STEP_S)
    last_words = worker_log.read_bytes()[born_at:].decode()
    shown = list(judge_pages([last_words], before, found)) if not found.unsettled() else []
    code = stopped(child)
    found = desk.history()
    outside = [*shown, *judge_logs([worker_log.read_text()], found.results), *judge_homes(desk, found)]
    wrong = [f"I10 {text}" for text in found.unsettled()]
    wrong += [f"I12 the last life ended with {code}"] if code else []
    wrong += [finding.line for finding in (*found.findings(), *outside)]
    figures = f"{len(wrong)} WRONG | REPEATED {found.repeated} | digest {found.digest}"
    return wrong, f"seed {seed} | {lives} lives | {desk.fed} records | {figures}"


def judge_homes(desk: Desk, found: PipelineHistory) -> Iterator[Finding]:
    """The store of the one worker against the changelog."""
    return judge_stores([desk.directory / "worker-0"], list(found.topics.get(CHANGELOG, ())), "trades", MONOTONIC)


def stopped(child: int) -> int:
    """End a worker in order; how it ended."""
    os.kill(child, signal.SIGTERM)
    until = time.monotonic() + FINISH_S
    while time.monotonic() < until:
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            return os.waitstatus_to_exitcode(status)
        pause(POLL_S)
    return killed(child)


def run() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="torture.pipeline_lives", description="Kill the pipeline on the embedded log."
    )
    parser.add_argument("--lives", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--death-seed", type=int, help="a seed of its own for the kills: the same records, other lives")
    parser.add_argument("--bug", default="", help="build this bug into the pipeline, to see whether it is found")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lives-"))
    desk = Desk(directory, options.bug)
    with closing(desk.log):
        death_seed = options.seed if options.death_seed is None else options.death_seed
        wrong, line = live(
            options.lives, options.seed, desk, lambda text: sys.stderr.write(f"{text}\n"), death_seed=death_seed
        )
    sys.stdout.write(f"{line}\n")
    for text in wrong[:20]:
        sys.stderr.write(f"{text}\n")
    if wrong:
        sys.stderr.write(f"everything is in {directory}\n")
    else:
        shutil.rmtree(directory)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run())
