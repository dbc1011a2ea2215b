"""The counting app on the embedded log, killed again and again: what is left, when it may finish, is right.

    python -m torture.lives --lives 2000 --seed 1     one line; exit 0 when nothing is lost, wrong or repeated otherwise

A life is a fork of this process, which has everything imported: it starts the worker, and SIGKILL ends it after a
moment drawn from the seed, while it starts or recovers, or, counted from its first output, while it counts or commits.
Now and then its tables are removed as well.
The feed goes on in the parent, which appends to the same log. The last life may finish, and the oracle judges.
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
APP, IN, OUT = f"{PREFIX}-counting", f"{PREFIX}-in", f"{PREFIX}-out"
CHANGELOG = f"{APP}-counts-changelog"

KEYS = 200
RECORDS_A_LIFE = 12
TWICE = 0.05
WIPED = 0.1
BUSY = 0.6
"""So many are killed at work, however slow the machine is."""
LONGEST_BUSY_S = 0.15
SHORTEST_S, LONGEST_S = 0.02, 0.4
"""A worker is ready after about 0.2 s."""
COMMIT_S, COMMIT_TALLY_S = 0.03, 0.3
"""A tally that a replay must not raise: most kills come before the commit."""
POLL_S = 0.002
FINISH_S = 120
STEP_S = 0.2


def live(
    lives: int, seed: int, directory: Path, say: Callable[[str], object], *, tally: bool, bug: str
) -> tuple[list[str], str]:
    """Every life, then the judgement: what is wrong, and the run in one line."""
    rng = random.Random(seed)
    log_directory, tables = directory / "log", directory / "tables"
    log_directory.mkdir()
    log = Log.open(log_directory / "log.db")
    for topic in (IN, OUT):
        log.create(topic, PARTITIONS)
    words = ["--broker", f"embedded://{log_directory}", "--prefix", PREFIX, "--data-dir", str(tables)]
    words += ["--bug", bug, "--commit-interval", str(COMMIT_TALLY_S if tally else COMMIT_S)]
    words += ["--tally", "--batch-records", "2"] if tally else []
    acknowledged: list[Entry] = []
    uids = iter(range(1_000_000_000))
    for life in range(lives):
        feed(log, rng, uids, acknowledged, twice=0 if tally else TWICE)
        said = sum(log.end(*place) for place in places(OUT))
        child = fork_worker(directory / "worker.log", partial(main, words))
        if rng.random() < BUSY:
            until = time.monotonic() + FINISH_S
            while sum(log.end(*place) for place in places(OUT)) == said and time.monotonic() < until:
                let_run(POLL_S)
            let_run(rng.uniform(0, LONGEST_BUSY_S))
        else:
            let_run(rng.uniform(SHORTEST_S, LONGEST_S))
        ended = kill_worker(child)
        if ended != -signal.SIGKILL:
            return [f"life {life} ended by itself: {ended}"], f"seed {seed}: see {directory}"
        if rng.random() < WIPED:
            shutil.rmtree(tables, ignore_errors=True)
        if life % 100 == 99:
            say(f"{life + 1} lives, {len(acknowledged)} records")
    child = fork_worker(directory / "worker.log", partial(main, words))
    until = time.monotonic() + FINISH_S
    while (open_ends := unsettled(found := history(log, acknowledged))) and time.monotonic() < until:
        if found.committed == found.ends:
            break  # what is missing now has been given up
        let_run(STEP_S)
    kill_worker(child)
    found = history(log, acknowledged)
    wrong = [*open_ends, *(finding.line for finding in judge(found, state=not tally))]
    again = repeated(found.outputs)
    log.close()
    return wrong, f"seed {seed} | {lives} lives | {len(acknowledged)} records | {len(wrong)} WRONG | REPEATED {again}"


def feed(log: Log, rng: random.Random, uids: Iterator[int], acknowledged: list[Entry], *, twice: float) -> None:
    """Some records more, a few of them the producer's duplicates."""
    for _ in range(RECORDS_A_LIFE):
        key = b"k%d" % rng.randrange(KEYS)
        if acknowledged and rng.random() < twice:
            _, _, old, uid = rng.choice(acknowledged)
            key, value = old or key, uid or b""
        else:
            value = b"s-%09d" % next(uids)
        partition = crc32(key) % PARTITIONS
        (base,) = log.append([(IN, partition, [(key, value, 0, ())])])
        acknowledged.append(Entry(partition, base, key, value))


def fork_worker(said_in: Path, work: Callable[[], None]) -> int:
    """A worker, in a fork of this process."""
    child = os.fork()
    if child:
        return child
    try:
        said = os.open(said_in, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        work()
    finally:
        os._exit(99)  # a worker that comes back here has ended by itself


def kill_worker(child: int) -> int:
    """End a worker, wherever it is; how it ended."""
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def let_run(seconds: float) -> None:
    """Let the worker run: this is what the moment of its death is measured by."""
    time.sleep(seconds)


def history(log: Log, acknowledged: list[Entry]) -> History:
    """What the log says, in the order the oracle asks for."""
    committed = {partition: offset for (_, partition), offset in log.committed(APP, places(IN)).items()}
    outputs = entries(log, OUT)
    changelog = entries(log, CHANGELOG) if CHANGELOG in {topic.name for topic in log.topics()} else []
    ends = {partition: log.end(IN, partition) for partition in range(PARTITIONS)}
    return History(entries(log, IN), outputs, changelog, acknowledged, committed, ends)


def entries(log: Log, topic: str) -> list[Entry]:
    """Every record of a topic."""
    found = []
    for partition in range(log.partitions(topic)):
        at = 0
        while records := log.read(topic, partition, at, 10_000):
            found += [Entry(partition, record.offset, record.key, record.value) for record in records]
            at = records[-1].offset + 1
    return found


def places(topic: str) -> list[tuple[str, int]]:
    """The partitions of a topic."""
    return [(topic, partition) for partition in range(PARTITIONS)]


def run() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="torture.lives", description="Kill the worker on the embedded log.")
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bug", default="", help="a fault to build into the workload: is it found?")
    parser.add_argument(
        "--tally", action="store_true", help="numbers are read, raised and written back, in small batches"
    )
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="lives-"))
    wrong, line = live(
        options.lives,
        options.seed,
        directory,
        lambda text: sys.stderr.write(f"{text}\n"),
        tally=options.tally,
        bug=options.bug,
    )
    sys.stdout.write(f"{line}\n")
    for text in wrong[:20]:
        sys.stderr.write(f"{text}\n")
    if not wrong:
        shutil.rmtree(directory)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run())
