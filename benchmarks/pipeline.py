"""The whole pipeline on a real Kafka: how fast does it come through what lies in the topics?

    PYTHONPATH=tests python -m benchmarks.pipeline [--trades 200000] [--profile typical] [--rounds 1] [--hot 25]

The day's messages are in the input topics; then ``traderecon worker`` is started as a user would start it, and watched
from outside. Time runs from the last look at which nothing was in the journal to the look at which the last result was
in the database. Graces are longer than the run: whoever waits for a missing leg still waits at the end.

CPU is of all processes of the worker, the kernel's work for them included, over the same span and per input message;
memory is the most each had resident, in sum: what they share counts in each. ``--hot`` runs once more under cProfile,
and prints what took longest.
"""

import argparse
import os
import pstats
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from groups import group_of
from pipeline_case import Installation, Running

from benchmarks.feed import PARTITIONS, KafkaLog
from benchmarks.transport import spread
from traderecon.simulator import PROFILES, messages

SEED = 7
GRACE_S = 86_400
LIMIT_S = 900
LOOK_S = 0.25
ASK_S = 2.0
"""The Kafka is asked more seldom: fifty questions at a time would have a share in what is measured."""
APPEND_RECORDS = 2_000
PROFILED = """
import cProfile, os, sys, time
from traderecon.cli import main
path, profile = sys.argv.pop(1), cProfile.Profile(time.thread_time)  # of the loop's thread: others may want the machine
try:
    profile.runcall(main)
finally:
    profile.dump_stats(f"{path}-{os.getpid()}")
"""

Row = tuple[bytes | None, bytes]
Day = Mapping[tuple[str, int], list[Row]]
"""Keys and values, by topic and partition."""


class Figures(NamedTuple):
    """One run. ``ends_s``: when each stage was done with the last record."""

    messages: int
    cpu_s: float
    ends_s: Mapping[str, float]
    peak_mib: float

    @property
    def rate(self) -> float:
        """Input messages per second."""
        return self.messages / self.ends_s["sink"]

    @property
    def cpu_us(self) -> float:
        """Processor time per input message."""
        return 1e6 * self.cpu_s / self.messages


class Watch:
    """An installation that works on what it was given, seen from outside."""

    def __init__(self, kafka: KafkaLog, installation: Installation, day: Day) -> None:
        self._kafka, self._installation = kafka, installation
        self._given = {place: len(rows) for place, rows in day.items()}
        self._prefix = str(installation.topics.legs).removesuffix("legs")

    def idle(self) -> bool:
        """Whether nothing is in the journal yet."""
        return not any(self._ends("legs").values())

    def read(self) -> bool:
        """Whether intake has committed everything it was given."""
        return self._reached("intake", self._given)

    def matched(self, legs: Mapping[tuple[str, int], int]) -> bool:
        """Whether matching has committed the journal up to here."""
        return self._reached("matching", legs)

    def journal(self) -> dict[tuple[str, int], int]:
        """Where the journal ends now."""
        return self._ends("legs")

    def stored(self) -> int:
        """How many records the sink has put into the database, standings aside."""
        sql = "SELECT total(next_offset) FROM sink_offsets WHERE topic NOT LIKE '%standings'"
        return int(self._installation.one(sql) or 0)

    def published(self) -> int:
        """How many records the sink has been given, standings aside."""
        return sum(sum(self._ends(name).values()) for name in ("reconciled", "mismatch", "dead_letters"))

    def _ends(self, name: str) -> dict[tuple[str, int], int]:
        topic = self._prefix + name
        return {(topic, number): self._kafka.end(topic, number) for number in range(PARTITIONS)}

    def _reached(self, role: str, ends: Mapping[tuple[str, int], int]) -> bool:
        group = group_of(self._prefix, role, self._installation.data_dir / "traderecon.db")
        return all((self._kafka.committed(group, *place) or 0) >= end for place, end in ends.items())


def measure(watch: Watch, worker: Running, records: int) -> Figures:
    """Watch a run from its first record to its last row."""
    limit = time.monotonic() + LIMIT_S
    while True:
        begun, before_s = time.monotonic(), worker.cpu_s()
        if not watch.idle():
            break
        patiently(worker, limit)
    ends_s: dict[str, float] = {}
    legs: dict[tuple[str, int], int] = {}
    stored, published, asked = 0, None, begun
    while published is None or stored < published:
        patiently(worker, limit)
        if (now := watch.stored()) > stored:
            stored, ends_s["sink"], after_s = now, time.monotonic() - begun, worker.cpu_s()
        if published is not None or time.monotonic() < asked + ASK_S:
            continue
        asked = time.monotonic()
        if not legs and watch.read():
            ends_s["intake"], legs = asked - begun, watch.journal()
        if legs and watch.matched(legs):
            ends_s["matching"], published = asked - begun, watch.published()
    return Figures(records, after_s - before_s, ends_s, worker.peak_mib())


def patiently(worker: Running, limit: float) -> None:
    """Wait a little; the end of the benchmark where the worker has died, or nothing comes to an end."""
    worker.alive()
    if time.monotonic() > limit:
        raise SystemExit(f"not done after {LIMIT_S} s")
    time.sleep(LOOK_S)


class Bench:
    """A Kafka, and a day that is put into topics of their own for each run."""

    def __init__(self, kafka: KafkaLog, directory: Path, trades: int, profile: str) -> None:
        self._kafka, self._directory = kafka, directory
        self._day: dict[tuple[str, int], list[Row]] = {}
        for sent in messages(SEED, trades, PROFILES[profile]):
            self._day.setdefault((sent.source, sent.partition(PARTITIONS)), []).append((sent.key, sent.value))
        self.records = sum(map(len, self._day.values()))

    def run(self, number: int, profile: Path | None = None) -> Figures:
        """One run, on topics and a data directory of its own."""
        prefix = f"run-{number}-"
        directory = self._directory / prefix
        settings = {"topic_prefix": prefix, "topic_partitions": PARTITIONS, "grace_seconds": GRACE_S}
        installation = Installation(directory, self._kafka.url, **settings)
        installation.create_topics()
        day = {(prefix + topic, partition): rows for (topic, partition), rows in self._day.items()}
        for (topic, partition), rows in day.items():
            for first in range(0, len(rows), APPEND_RECORDS):
                self._kafka.append(topic, rows[first : first + APPEND_RECORDS], partition)
        program = [sys.executable, "-c", PROFILED, str(profile)] if profile else []
        try:
            worker = installation.start(program=program)
            figures = measure(Watch(self._kafka, installation, day), worker, self.records)
            if worker.leave():
                raise SystemExit(f"the worker was asked to stop, and did not end well:\n{worker.log[-2000:]}")
        finally:
            installation.close()
        return figures


def table(runs: list[Figures]) -> Iterator[str]:
    """The lines of the report."""
    yield f"{'messages/s':>26} {'CPU us/message':>20} {'intake s':>10} {'matching s':>10} {'sink s':>8}  MiB"
    last = runs[-1]
    ends = f"{last.ends_s['intake']:10.1f} {last.ends_s['matching']:10.1f} {last.ends_s['sink']:8.1f}"
    rates, costs = (spread((getattr(each, name) for each in runs), form) for name, form in FORMS.items())
    yield f"{rates:>26} {costs:>20} {ends}  {last.peak_mib:.0f}"


FORMS = {"rate": ",.0f", "cpu_us": ".1f"}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--trades", type=int, default=200_000)
    arguments.add_argument("--profile", choices=PROFILES, default="typical")
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--hot", type=int, metavar="LINES", help="what took longest, so many lines of it")
    chosen = arguments.parse_args()
    runs: list[Figures] = []
    with TemporaryDirectory(prefix="traderecon-bench-") as folder:
        kafka = KafkaLog(Path(folder) / "kafka")
        try:
            kafka.start()
            bench = Bench(kafka, Path(folder), chosen.trades, chosen.profile)
            for number in range(chosen.rounds):
                runs.append(bench.run(number))
                print(f"round {number + 1}: {runs[-1].rate:,.0f}/s", file=sys.stderr)
            if chosen.hot:
                profile = Path(folder) / "profile"
                bench.run(chosen.rounds, profile)
                found = pstats.Stats(*map(str, Path(folder).glob("profile-*")))
                for order in ("cumulative", "tottime"):
                    found.sort_stats(order).print_stats(chosen.hot)
        finally:
            kafka.stop()
    print(
        f"{kafka.name}, {bench.records:,} messages of {chosen.trades:,} trades ({chosen.profile}), "
        f"{os.cpu_count()} processors; {chosen.rounds} rounds: median (range), stages of the last round"
    )
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()
