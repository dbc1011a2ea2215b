"""A writer on the embedded log, killed again and again: what it was told is kept, is kept.

    python -m log_lives COUNT SEED DIRECTORY     so many lives on one log, each checked; then what was seen

What a writer does in a life is a function of the seed and the life's number, so the checker knows it too: the writer
tells only how many steps it has done, and the step after those happened whole or not at all.
"""

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, NoReturn
from zlib import crc32

from traderecon.transport.log import Entry, Log, Record, Sync

PLAIN, COMPACTED = "legs", "facts"
PARTITIONS = 3
KEYS = 400
GROUP = "matching"
MAX_STEPS = 40
MAX_DELAY_S = 0.004
"""A life ends this long, at most, after the last step it was given."""

Place = tuple[str, int]
PLAIN_PLACES = [(PLAIN, partition) for partition in range(PARTITIONS)]
PLACES = [*PLAIN_PLACES, *((COMPACTED, partition) for partition in range(PARTITIONS))]


class Append(NamedTuple):
    """Two groups in one transaction."""

    groups: tuple[tuple[Place, list[Entry]], tuple[Place, list[Entry]]]


class Commit(NamedTuple):
    """The group has done all but the last few."""

    place: Place
    left: int


class Trim(NamedTuple):
    """All but the last few go."""

    place: Place
    left: int


class Compact(NamedTuple):
    """One step of compaction."""

    place: Place


Step = Append | Commit | Trim | Compact


def steps(seed: int, life: int) -> Iterator[Step]:
    """What the writer does in this life, if it lives so long."""
    rng = random.Random(f"{seed} {life}")
    while True:
        match rng.choices(("append", "commit", "trim", "compact"), (5, 2, 1, 2))[0]:
            case "append":
                first, second = rng.choice(PLAIN_PLACES), rng.choice(PLACES)
                yield Append(((first, entries(rng)), (second, entries(rng))))
            case "commit":
                yield Commit(rng.choice(PLAIN_PLACES), rng.randrange(10))
            case "trim":
                yield Trim(rng.choice(PLAIN_PLACES), rng.choice([0, 500, 2_000]))
            case "compact":
                yield Compact((COMPACTED, rng.randrange(PARTITIONS)))


def entries(rng: random.Random) -> list[Entry]:
    """The records of one group; a few are tombstones."""
    return [
        (b"%d" % rng.randrange(KEYS), rng.choice([None, rng.randbytes(rng.choice([3, 100, 900]))]), number, ())
        for number in range(*rng.choices((1, 3, 30, 300, 1_200), (4, 4, 4, 2, 1)))
    ]


def do(log: Log, step: Step) -> None:
    """Take one step on the log."""
    match step:
        case Append(groups):
            log.append([(*place, rows) for place, rows in groups])
        case Commit(place, left):
            log.commit(GROUP, {place: max(0, log.end(*place) - left)})
        case Trim(place, left):
            log.trim(*place, log.end(*place) - left)
        case Compact(place):
            log.compact(*place, max_records=5_000, min_dirty=1)


class Standing(NamedTuple):
    """Where a log stands: of each partition the first offset and the next, and what is committed."""

    firsts: dict[Place, int]
    ends: dict[Place, int]
    commits: dict[Place, int]

    @classmethod
    def of(cls, log: Log) -> "Standing":
        """Where this one stands."""
        return cls(
            {place: log.earliest(*place) for place in PLACES},
            {place: log.end(*place) for place in PLACES},
            log.committed(GROUP, PLACES),
        )


class Broken(AssertionError):
    """A promise of the log that was not kept."""


class Model:
    """What the log must hold: of every record ever appended a digest, and the newest offset of every key."""

    def __init__(self) -> None:
        self._firsts = dict.fromkeys(PLACES, 0)
        self._commits: dict[Place, int] = {}
        self._digests: dict[Place, list[int]] = {place: [] for place in PLACES}
        self._newest: dict[Place, dict[bytes | None, int]] = {place: {} for place in PLACES}

    @property
    def records(self) -> int:
        """How many were ever appended."""
        return sum(map(len, self._digests.values()))

    @property
    def standing(self) -> Standing:
        """Where the log must stand."""
        return Standing(self._firsts, {place: len(written) for place, written in self._digests.items()}, self._commits)

    def do(self, step: Step) -> None:
        """Take one step."""
        match step:
            case Append(groups):
                for place, rows in groups:
                    for key, value, timestamp_ms, _ in rows:
                        self._newest[place][key] = len(self._digests[place])
                        self._digests[place].append(digest(key, value, timestamp_ms))
            case Commit(place, left):
                self._commits[place] = max(0, len(self._digests[place]) - left)
            case Trim(place, left):
                self._firsts[place] = max(self._firsts[place], len(self._digests[place]) - left)

    def check(self, log: Log) -> None:
        """Every record that must be there is there, once, in its place, as it was; and no other is."""
        if Standing.of(log) != self.standing:
            raise Broken(f"the log stands at {Standing.of(log)}, not at {self.standing}")
        for place, written in self._digests.items():
            found = everything(log, place, self._firsts[place])
            offsets = [record.offset for record in found]
            if place in PLAIN_PLACES and offsets != list(range(self._firsts[place], len(written))):
                raise Broken(f"{place}: offsets {offsets}")
            if missing := set(self._newest[place].values()) - set(offsets) - set(range(self._firsts[place])):
                raise Broken(f"{place}: lost offsets {sorted(missing)}")
            wrong = [one.offset for one in found if digest(one.key, one.value, one.timestamp) != written[one.offset]]
            if wrong or offsets != sorted(set(offsets)):
                raise Broken(f"{place}: other records at {wrong}, offsets {offsets}")


def digest(key: bytes | None, value: bytes | None, timestamp_ms: int) -> int:
    """A record in 32 bits."""
    return crc32(repr((key, value, timestamp_ms)).encode())


def everything(log: Log, place: Place, first: int) -> list[Record]:
    """All records of a partition."""
    found: list[Record] = []
    while records := log.read(*place, found[-1].offset + 1 if found else first, 700):
        found += records
    return found


def write(path: Path, seed: int, life: int, told: int) -> NoReturn:
    """Be the writer, until killed: a byte for every step that is done."""
    os.write(told, b"!")
    with Log.open(path, sync=list(Sync)[life % 2]) as log:
        for step in steps(seed, life):
            do(log, step)
            os.write(told, b".")
    raise AssertionError("a life has no end of its own")


def live(path: Path, seed: int, life: int) -> int:
    """One life: start a writer, let it take some steps, kill it in the middle of another; gives the steps it told."""
    rng = random.Random(f"{seed} {life} death")
    listening, told = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            write(path, seed, life, told)
        finally:
            os._exit(1)
    os.close(told)
    heard = 0
    granted = 1 + rng.randrange(MAX_STEPS)
    try:
        while heard < granted and (more := os.read(listening, granted - heard)):
            heard += len(more)
        time.sleep(rng.uniform(0, MAX_DELAY_S))
        os.kill(writer, signal.SIGKILL)
        while more := os.read(listening, 1_000):
            heard += len(more)
    finally:
        os.close(listening)
        _, status = os.waitpid(writer, 0)
    if not os.WIFSIGNALED(status):
        raise Broken(f"life {life}: the writer ended by itself, status {status}")
    return heard - 1


def main(count: int, seed: int, directory: Path) -> None:
    """So many lives, each checked."""
    path = directory / "log.db"
    with Log.open(path) as log:
        log.create(PLAIN, PARTITIONS)
        log.create(COMPACTED, PARTITIONS, compacted=True)
    model = Model()
    done = unheard = 0
    for life in range(count):
        heard = live(path, seed, life)
        plan = steps(seed, life)
        for _ in range(heard):
            model.do(next(plan))
        with Log.open(path) as log:
            if Standing.of(log) != model.standing:
                model.do(next(plan))  # the step it was killed in: done, and nobody told
                unheard += 1
            model.check(log)
        done += heard
    with closing(sqlite3.connect(path)) as database, database:
        (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise Broken(verdict)
    seen = f"{count} lives, {done} steps acknowledged, {unheard} done and not told, {model.records} records"
    sys.stdout.write(seen + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
