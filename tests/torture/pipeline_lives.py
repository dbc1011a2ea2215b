"""The pipeline on the embedded log, killed repeatedly: topics and database must be right at the end.

    python -m torture.pipeline_lives --lives 200 --seed 1     one line; exit 0 if the oracle finds nothing

A life is a fork of this process, with everything imported: it runs ``traderecon worker`` with every role until SIGKILL,
after a time drawn from the seed, mostly while processing. Sometimes its home is removed, or the database, which is
rebuilt from the topics. The parent feeds, appending to the same log. The last life may finish, then the oracle judges.
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
from torture.lives import entries, fork_worker, kill_worker, let_run
from torture.pipeline_bugs import BUGS
from torture.pipeline_database import read_database
from torture.pipeline_feed import simulated_feed
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
"""Modules that a worker imports late, imported here so that a life starts quickly."""
NAMES = {role: role for role in (*INPUTS, LEGS, *OUTPUTS, STANDINGS)}
READERS = {**dict.fromkeys(INPUTS, "intake"), LEGS: "matching"} | dict.fromkeys(OUTPUTS, "sink")
"""The stage that reads each topic."""
OPTIONAL_TOPICS = {ACCOUNTS: ACCOUNTS, CHECKPOINTS: CHECKPOINTS, CHANGELOG: "traderecon-matching-trades-changelog"}
"""Topics that the workers create, judged if they exist."""
GRACE_S = 1
ARGV = ["traderecon", "worker"]

RECORDS_A_LIFE = 30
WIPED_SHARE = 0.1
DATABASE_LOST_SHARE = 0.05
BUSY_SHARE = 0.7
"""This share is killed while processing, however slow the machine is."""
LONGEST_BUSY_S = 0.8
LONGEST_S = 1.5
POLL_S = 0.01
STEP_S = 0.2
FINISH_S = 120


class Installation:
    """A data directory with its log, and what was fed to it."""

    def __init__(self, directory: Path, bug: str) -> None:
        self.directory, self.bug = directory, bug
        self.log = Log.open(directory / NAME)
        self.acknowledged: dict[str, list[Entry]] = {role: [] for role in INPUTS}
        self.last_fed_s = 0.0
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
            self.last_fed_s = time.time()
            (base,) = self.log.append([(role, partition, [(key, value, int(self.last_fed_s * 1000), ())])])
            self.acknowledged[role].append(Entry(partition, base, key, value))

    def worker(self) -> int:
        """Start a worker; returns its pid."""
        return fork_worker(self.directory / "worker.log", partial(run_worker, self.directory, self.bug))

    def history(self) -> PipelineHistory:
        """The current history, read in the order the oracle requires."""
        committed = {
            (role, number): offset
            for role, stage in READERS.items()
            for (_, number), offset in self.log.committed(
                group_of("", stage, self.directory / "traderecon.db"), self._tps(role)
            ).items()
        }
        database = read_database(self.directory / "traderecon.db")
        existing = {topic.name for topic in self.log.topics()}
        optional = {role: entries(self.log, name) for role, name in OPTIONAL_TOPICS.items() if name in existing}
        topics = {**optional, **{role: entries(self.log, role) for role in reversed(NAMES)}}
        return PipelineHistory(
            NAMES | {ACCOUNTS: ACCOUNTS}, self.last_fed_s + GRACE_S, self.acknowledged, committed, database, topics
        )

    def _tps(self, role: str) -> list[tuple[str, int]]:
        return [(role, number) for number in range(self.log.partitions(role))]


def run_worker(directory: Path, bug: str) -> None:
    """Run a worker on this directory."""
    os.environ |= {"TRADERECON_DATA_DIR": str(directory), "TRADERECON_GRACE_SECONDS": str(GRACE_S)}
    os.chdir(directory)
    if bug:
        BUGS[bug]()
    sys.argv = ARGV
    try:
        cli.main()
    except SystemExit as exit_:
        logging.shutdown()
        os._exit(exit_.code if isinstance(exit_.code, int) else 0)


def run_lives(
    lives: int, seed: int, installation: Installation, say: Callable[[str], object], *, death_seed: int
) -> tuple[list[str], str]:
    """Run every life, then judge; returns the findings, and the run in one line. ``death_seed`` decides the deaths."""
    rng = random.Random(death_seed)
    feed = simulated_feed(seed, max(lives, 1) * RECORDS_A_LIFE)
    remaining = iter(feed.records)
    for life in range(lives):
        installation.feed(islice(remaining, RECORDS_A_LIFE))
        outputs_before, pid = installation.produced, installation.worker()
        if rng.random() < BUSY_SHARE:
            deadline_s = time.monotonic() + FINISH_S
            while installation.produced == outputs_before and time.monotonic() < deadline_s:
                let_run(POLL_S)
            let_run(rng.uniform(0, LONGEST_BUSY_S))
        else:
            let_run(rng.uniform(0, LONGEST_S))
        exit_code = kill_worker(pid)
        if exit_code != -signal.SIGKILL:
            return [f"life {life} ended by itself: {exit_code}"], f"seed {seed}: see {installation.directory}"
        if rng.random() < WIPED_SHARE:
            shutil.rmtree(installation.directory / "worker-0", ignore_errors=True)
        if rng.random() < DATABASE_LOST_SHARE:
            for path in installation.directory.glob("traderecon.db*"):
                path.unlink()
        if life % 10 == 9:
            say(f"{life + 1} lives, {installation.fed} records, {installation.produced} outputs")
    installation.feed((*remaining, *feed.epilogue))
    before_last = installation.history()
    worker_log = installation.directory / "worker.log"
    log_start = worker_log.stat().st_size if worker_log.exists() else 0
    pid = installation.worker()
    deadline_s = time.monotonic() + FINISH_S
    while (history := installation.history()).unsettled() and time.monotonic() < deadline_s:
        let_run(STEP_S)
    last_output = worker_log.read_bytes()[log_start:].decode()
    page_findings = list(judge_pages([last_output], before_last, history)) if not history.unsettled() else []
    exit_code = stop_worker(pid)
    history = installation.history()
    outside_findings = [
        *page_findings,
        *judge_logs([worker_log.read_text()], history.results),
        *judge_homes(installation, history),
    ]
    findings = [f"I10 {text}" for text in history.unsettled()]
    findings += [f"I12 the last life ended with {exit_code}"] if exit_code else []
    findings += [finding.line for finding in (*history.findings(), *outside_findings)]
    figures = f"{len(findings)} WRONG | REPEATED {history.repeated} | digest {history.digest}"
    return findings, f"seed {seed} | {lives} lives | {installation.fed} records | {figures}"


def judge_homes(installation: Installation, history: PipelineHistory) -> Iterator[Finding]:
    """Judge the local store of the one worker against the changelog."""
    return judge_stores(
        [installation.directory / "worker-0"], list(history.topics.get(CHANGELOG, ())), "trades", MONOTONIC
    )


def stop_worker(pid: int) -> int:
    """Stop a worker in order; returns its exit code."""
    os.kill(pid, signal.SIGTERM)
    deadline_s = time.monotonic() + FINISH_S
    while time.monotonic() < deadline_s:
        ended_pid, status = os.waitpid(pid, os.WNOHANG)
        if ended_pid:
            return os.waitstatus_to_exitcode(status)
        let_run(POLL_S)
    return kill_worker(pid)


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
    installation = Installation(directory, options.bug)
    with closing(installation.log):
        death_seed = options.seed if options.death_seed is None else options.death_seed
        findings, line = run_lives(
            options.lives, options.seed, installation, lambda text: sys.stderr.write(f"{text}\n"), death_seed=death_seed
        )
    sys.stdout.write(f"{line}\n")
    for text in findings[:20]:
        sys.stderr.write(f"{text}\n")
    if findings:
        sys.stderr.write(f"logs and data are in {directory}\n")
    else:
        shutil.rmtree(directory)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(run())
