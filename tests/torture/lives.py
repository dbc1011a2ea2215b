"""The counting app on the embedded log, killed repeatedly: once it may finish, its topics must be right.

    python -m torture.lives --lives 2000 --seed 1     prints one line; exit 0 if the oracle finds nothing

A life is a fork of this process, with everything imported: it runs the worker until SIGKILL, after a time drawn from
the seed: during start or recovery or, counted from its first output, while it counts or commits. Sometimes its tables
are removed as well. The parent feeds, appending to the same log. The last life may finish, then the oracle judges.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from zlib import crc32

from torture.counting import PARTITIONS, main
from torture.findings import Entry
from torture.oracle import History, judge, repeated, unsettled
from traderecon.transport.log import Log

PREFIX = "lives"
APP, INPUT, OUTPUT = f"{PREFIX}-counting", f"{PREFIX}-in", f"{PREFIX}-out"
CHANGELOG = f"{APP}-counts-changelog"

KEYS = 200
RECORDS_A_LIFE = 12
DUPLICATE_SHARE = 0.05
WIPED_SHARE = 0.1
BUSY_SHARE = 0.6
"""This share is killed while processing, however slow the machine is."""
LONGEST_BUSY_S = 0.15
SHORTEST_S, LONGEST_S = 0.02, 0.4
"""A worker is ready after about 0.2 s."""
COMMIT_S, TALLY_COMMIT_S = 0.03, 0.3
"""With ``--tally`` commits are rare, so that most kills come before a commit and cause a replay."""
POLL_S = 0.002
FINISH_S = 120
STEP_S = 0.2


def run_lives(
    lives: int, seed: int, directory: Path, say: Callable[[str], object], *, tally: bool, bug: str
) -> tuple[list[str], str]:
    """Run every life, then judge; returns the findings, and the run in one line."""
    rng = random.Random(seed)
    log_directory, tables = directory / "log", directory / "tables"
    log_directory.mkdir()
    log = Log.open(log_directory / "log.db")
    for topic in (INPUT, OUTPUT):
        log.create(topic, PARTITIONS)
    arguments = ["--broker", f"embedded://{log_directory}", "--prefix", PREFIX, "--data-dir", str(tables)]
    arguments += ["--bug", bug, "--commit-interval", str(TALLY_COMMIT_S if tally else COMMIT_S)]
    arguments += ["--tally", "--batch-records", "2"] if tally else []
    acknowledged: list[Entry] = []
    uids = iter(range(1_000_000_000))
    for life in range(lives):
        feed(log, rng, uids, acknowledged, duplicate_share=0 if tally else DUPLICATE_SHARE)
        outputs_before = sum(log.end(*tp) for tp in tps(OUTPUT))
        pid = fork_worker(directory / "worker.log", partial(main, arguments))
        if rng.random() < BUSY_SHARE:
            deadline_s = time.monotonic() + FINISH_S
            while sum(log.end(*tp) for tp in tps(OUTPUT)) == outputs_before and time.monotonic() < deadline_s:
                let_run(POLL_S)
            let_run(rng.uniform(0, LONGEST_BUSY_S))
        else:
            let_run(rng.uniform(SHORTEST_S, LONGEST_S))
        exit_code = kill_worker(pid)
        if exit_code != -signal.SIGKILL:
            return [f"life {life} ended by itself: {exit_code}"], f"seed {seed}: see {directory}"
        if rng.random() < WIPED_SHARE:
            shutil.rmtree(tables, ignore_errors=True)
        if life % 100 == 99:
            say(f"{life + 1} lives, {len(acknowledged)} records")
    pid = fork_worker(directory / "worker.log", partial(main, arguments))
    deadline_s = time.monotonic() + FINISH_S
    while (open_work := unsettled(current := history(log, acknowledged))) and time.monotonic() < deadline_s:
        if current.committed == current.ends:
            break  # all input is committed: missing outputs will not come
        let_run(STEP_S)
    kill_worker(pid)
    current = history(log, acknowledged)
    findings = [*open_work, *(finding.line for finding in judge(current, state=not tally))]
    repeats = repeated(current.outputs)
    log.close()
    return (
        findings,
        f"seed {seed} | {lives} lives | {len(acknowledged)} records | {len(findings)} WRONG | REPEATED {repeats}",
    )


def feed(
    log: Log, rng: random.Random, uids: Iterator[int], acknowledged: list[Entry], *, duplicate_share: float
) -> None:
    """Feed some records, a few of them duplicates."""
    for _ in range(RECORDS_A_LIFE):
        key = b"k%d" % rng.randrange(KEYS)
        if acknowledged and rng.random() < duplicate_share:
            _, _, old_key, uid = rng.choice(acknowledged)
            key, value = old_key or key, uid or b""
        else:
            value = b"s-%09d" % next(uids)
        partition = crc32(key) % PARTITIONS
        (base,) = log.append([(INPUT, partition, [(key, value, 0, ())])])
        acknowledged.append(Entry(partition, base, key, value))


def fork_worker(output_path: Path, work: Callable[[], None]) -> int:
    """Run ``work`` in a fork of this process; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        output = os.open(output_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        work()
    finally:
        os._exit(99)  # only reached if the worker exits by itself


def kill_worker(pid: int) -> int:
    """Kill a worker; returns its exit code."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def let_run(seconds: float) -> None:
    """Let the worker run for so long, which decides when it dies."""
    time.sleep(seconds)


def history(log: Log, acknowledged: list[Entry]) -> History:
    """The history in the log, read in the order the oracle requires."""
    committed = {partition: offset for (_, partition), offset in log.committed(APP, tps(INPUT)).items()}
    outputs = entries(log, OUTPUT)
    changelog = entries(log, CHANGELOG) if CHANGELOG in {topic.name for topic in log.topics()} else []
    ends = {partition: log.end(INPUT, partition) for partition in range(PARTITIONS)}
    return History(entries(log, INPUT), outputs, changelog, acknowledged, committed, ends)


def entries(log: Log, topic: str) -> list[Entry]:
    """Every record of a topic."""
    all_entries = []
    for partition in range(log.partitions(topic)):
        offset = 0
        while records := log.read(topic, partition, offset, 10_000):
            all_entries += [Entry(partition, record.offset, record.key, record.value) for record in records]
            offset = records[-1].offset + 1
    return all_entries


def tps(topic: str) -> list[tuple[str, int]]:
    """The partitions of a topic."""
    return [(topic, partition) for partition in range(PARTITIONS)]


def run() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="torture.lives", description="Kill the worker on the embedded log.")
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bug", default="", help="build this defect into the workload, to see it found")
    parser.add_argument("--tally", action="store_true", help="increment a stored number per record, in small batches")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lives-"))
    findings, line = run_lives(
        options.lives,
        options.seed,
        directory,
        lambda text: sys.stderr.write(f"{text}\n"),
        tally=options.tally,
        bug=options.bug,
    )
    sys.stdout.write(f"{line}\n")
    for text in findings[:20]:
        sys.stderr.write(f"{text}\n")
    if not findings:
        shutil.rmtree(directory)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(run())
