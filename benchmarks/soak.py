"""A soak: a worker is fed at full speed for as long as asked; does its memory stay flat, and does it catch up?

    PYTHONPATH=tests python -m benchmarks.soak [--messages 5000000] [--broker embedded|kafka] [--profile typical|alone]
        [--json]
    PYTHONPATH=tests python -m benchmarks.soak --speed 2000

One ``traderecon worker`` with all roles, as a user would start it, seen from outside. The feeder stays ahead of it, and
of every role, by a bounded number of messages; graces are short, so that the trades that wait are bounded too. The
profile ``alone`` is executions that nobody confirms: every trade waits for its grace, and is a break for ever.

Resident memory is sampled all the time, and the size of the data directory. What counts is the slope over the second
half of the messages, in MiB per million: a cache is full by then, a leak is not. At the end everything must be decided
and stored, and the lag 0.

With ``--speed`` the clocks of worker and feeder run so many times as fast, so that weeks pass and every retention is at
work: a trade is closed a day after its last fact and forgotten a day later, the log gives back what is older than its
retention, and ``traderecon db purge`` runs every minute.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from broker.waiting import until
from pipeline_case import READY_S, Installation, Running

from benchmarks.feed import EmbeddedLog, KafkaLog
from traderecon import clock
from traderecon.records import Source
from traderecon.simulator import PROFILES, Sent, messages

SEED = 7
PARTITIONS = 4
GRACE_S = 10
APPEND_RECORDS = 4_000
SAMPLE_S = 2.0
LOOK_S = 0.1
DECIDED_S = 3_600
ROWS = 12
"""So many samples are printed."""
PURGE_EVERY_S = 60.0
DAY_S = 86_400
FAST_GRACE_S = 3_600
FAST = {
    "grace_seconds": FAST_GRACE_S,
    "clock_step_seconds": 3_600,
    "retention_days": 1,
    "database_retention_days": 3,
}
FAST_CLOCK = """
from traderecon import clock
from traderecon.cli import main

now_ns, boot_ns = clock.now_ns, clock.boot_ns
clock.now_ns = lambda: {start_ns} + (now_ns() - {start_ns}) * {speed}
clock.boot_ns = lambda: boot_ns() * {speed}
main()
"""
"""The command, with clocks that run fast from a moment on."""


class Sample(NamedTuple):
    """One look at the worker: when, what it had read by then, its memory, the trades that wait, what is on disk."""

    at_s: float
    messages: int
    resident_mib: float
    waiting: int
    disk_mib: float


class Soak:
    """A worker that is fed and watched."""

    def __init__(
        self, log: KafkaLog | EmbeddedLog, installation: Installation, ahead: int, program: Sequence[str]
    ) -> None:
        self._log, self._installation, self._ahead = log, installation, ahead
        self.worker: Running = installation.start(program=program)
        until(self.worker.ready, "the worker is ready", READY_S)
        self.samples: list[Sample] = []
        self.fed = 0
        self._began_s = time.monotonic()

    def feed(self, day: Iterator[Sent]) -> None:
        """All of it, as fast as the worker takes it."""
        while some := list(islice(day, APPEND_RECORDS)):
            while max(self.fed - self.sample().messages, self.lag()) > self._ahead:
                time.sleep(LOOK_S)
            places: defaultdict[tuple[str, int], list[tuple[Any, bytes]]] = defaultdict(list)
            for sent in some:
                places[str(sent.source), sent.partition(PARTITIONS)].append((sent.key, sent.value))
            for (topic, partition), rows in places.items():
                self._log.append(topic, rows, partition)
            self.fed += len(some)

    def settle(self) -> float:
        """Wait until all is read, decided and stored; how long it took after the last was read."""
        while self.sample().messages < self.fed:
            time.sleep(LOOK_S)
        began_s = time.monotonic()
        self._installation.until_decided(DECIDED_S)
        while self.lag():
            time.sleep(LOOK_S)
        self.sample(now=True)
        return time.monotonic() - began_s

    def lag(self) -> int:
        """Messages that some role has not read."""
        self.worker.alive()
        return int(self.worker.metric("traderecon_consumer_lag_messages"))

    def sample(self, *, now: bool = False) -> Sample:
        """The newest sample; another one where it is old."""
        at_s = time.monotonic() - self._began_s
        self.worker.alive()
        if now or not self.samples or at_s - self.samples[-1].at_s > SAMPLE_S:
            read = int(self.worker.metric("traderecon_messages_consumed_total"))
            waiting = int(self.worker.metric("traderecon_pending_trades"))
            disk = disk_mib(self._installation.data_dir)
            self.samples.append(Sample(at_s, read, self.worker.resident_mib(), waiting, disk))
        return self.samples[-1]


class Purges:
    """``traderecon db purge``, again and again, beside the worker, as long as the block lasts."""

    def __init__(self, installation: Installation, program: Sequence[str]) -> None:
        self._installation, self._program = installation, program
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._purge)
        self.count = 0

    def __enter__(self) -> "Purges":
        if self._program:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._program:
            self._thread.join()

    def _purge(self) -> None:
        command = [*self._program, "db", "purge", "--apply", "--reason", "soak"]
        while not self._over.wait(PURGE_EVERY_S):
            where = self._installation
            done = subprocess.run(
                command, cwd=where.directory, env=where.environment, capture_output=True, text=True, check=False
            )
            self.count += not done.returncode
            if done.returncode:
                sys.stderr.write(f"db purge ended with {done.returncode}: {done.stderr}\n")


def disk_mib(directory: Path) -> float:
    """What the files below a directory take."""
    total = 0
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total / 2**20


def slope(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """MiB per million messages: the line of least squares through the second half."""
    half = [one for one in samples if one.messages >= samples[-1].messages / 2]
    mean_x = sum(one.messages for one in half) / len(half)
    mean_y = sum(of(one) for one in half) / len(half)
    square = sum((one.messages - mean_x) ** 2 for one in half)
    return 1e6 * sum((one.messages - mean_x) * (of(one) - mean_y) for one in half) / (square or 1.0)


def day(profile: str, count: int) -> Iterator[Sent]:
    """So many messages."""
    if profile != "alone":
        return islice(messages(SEED, count, PROFILES[profile]), count)
    return islice((one for one in messages(SEED, count, PROFILES["clean"]) if one.source is Source.EXECUTIONS), count)


def soaked(log: KafkaLog | EmbeddedLog, installation: Installation, chosen: argparse.Namespace) -> dict[str, Any]:
    """Run it; the figures."""
    installation.create_topics()
    program = fast_program(chosen.speed) if chosen.speed > 1 else ()
    began_s = clock.now_ms() / 1000
    with Purges(installation, program) as purges:
        soak = Soak(log, installation, chosen.ahead, program)
        soak.feed(day(chosen.profile, chosen.messages))
        settle_s = soak.settle()
    busy = [one for one in soak.samples if one.messages < soak.fed] or soak.samples
    results = installation.one("SELECT count(*) FROM results")
    history = installation.one("SELECT count(*) FROM result_history")
    figures = {
        "broker": log.name,
        "profile": chosen.profile,
        "messages": soak.fed,
        "seconds": round(soak.samples[-1].at_s, 1),
        "rate": round(busy[-1].messages / busy[-1].at_s),
        "settle_s": round(settle_s, 1),
        "trades": results,
        "results": history,
        "most_waiting": max(one.waiting for one in soak.samples),
        "resident_mib": {
            "half": round(next(one.resident_mib for one in busy if one.messages >= busy[-1].messages / 2), 1),
            "end": round(busy[-1].resident_mib, 1),
            "peak": round(soak.worker.peak_mib(), 1),
            "slope_per_million": round(slope(busy, lambda one: one.resident_mib), 2),
        },
        "disk_mib": {
            "half": round(next(one.disk_mib for one in busy if one.messages >= busy[-1].messages / 2), 1),
            "end": round(busy[-1].disk_mib, 1),
            "slope_per_million": round(slope(busy, lambda one: one.disk_mib), 2),
        },
        "days": round((clock.now_ms() / 1000 - began_s) / DAY_S, 1),
        "purges": purges.count,
        "lag": soak.lag(),
        "samples": [
            [round(one.at_s, 1), one.messages, round(one.resident_mib, 1), one.waiting, round(one.disk_mib, 1)]
            for one in busy
        ],
    }
    if code := soak.worker.leave():
        raise SystemExit(f"the worker was asked to stop, and ended with {code}:\n{soak.worker.log[-2000:]}")
    return figures


def fast_program(speed: int) -> Sequence[str]:
    """The command with fast clocks; this process's own run as fast from now on."""
    start_ns, now_ns = clock.now_ns(), clock.now_ns
    clock.now_ns = lambda: start_ns + (now_ns() - start_ns) * speed
    return sys.executable, "-c", FAST_CLOCK.format(start_ns=start_ns, speed=speed)


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The lines of the report."""
    samples = figures["samples"]
    yield f"{'seconds':>9} {'messages':>12} {'resident MiB':>13} {'trades waiting':>15} {'disk MiB':>10}"
    for at_s, read, resident, waiting, disk in samples[:: max(1, len(samples) // ROWS)]:
        yield f"{at_s:9.1f} {read:12,} {resident:13.1f} {waiting:15,} {disk:10.1f}"
    memory, stored = figures["resident_mib"], figures["disk_mib"]
    yield (
        f"{figures['broker']}: {figures['messages']:,} messages ({figures['profile']}) at {figures['rate']:,}/s, "
        f"settled {figures['settle_s']} s after the last was read, lag {figures['lag']}"
    )
    yield (
        f"resident {memory['half']} MiB at half, {memory['end']} at the end, peak {memory['peak']}; "
        f"slope over the second half {memory['slope_per_million']} MiB per million messages"
    )
    yield (
        f"on disk {stored['half']} MiB at half, {stored['end']} at the end, slope {stored['slope_per_million']}; "
        f"{figures['days']} days by the clocks, {figures['purges']} purges, {figures['trades']:,} trades stored"
    )


def main() -> None:
    """Soak, and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--messages", type=int, default=5_000_000)
    arguments.add_argument("--broker", choices=("embedded", "kafka"), default="embedded")
    arguments.add_argument("--profile", choices=(*PROFILES, "alone"), default="typical")
    arguments.add_argument("--ahead", type=int, default=100_000, help="messages that some role may have to read")
    arguments.add_argument("--speed", type=int, default=1, help="how fast time passes; embedded log only")
    arguments.add_argument("--directory", type=Path, help="where to work (default: a temporary one)")
    arguments.add_argument("--json", action="store_true", help="all samples too")
    chosen = arguments.parse_args()
    if chosen.speed > 1 and chosen.broker == "kafka":
        arguments.error("--speed: the clock of a Kafka cannot be set; leave --broker out")
    with TemporaryDirectory(prefix="traderecon-soak-", dir=chosen.directory) as folder:
        directory = Path(folder)
        settings: dict[str, Any] = {"grace_seconds": GRACE_S, "topic_partitions": PARTITIONS}
        if chosen.speed > 1:
            settings |= FAST
        log: KafkaLog | EmbeddedLog
        if chosen.broker == "kafka":
            log = KafkaLog(directory / "kafka")
            log.start()
            installation = Installation(directory / "worker", log.url, **settings)
        else:
            installation = Installation(directory / "worker", **settings)
            log = EmbeddedLog(installation.data_dir)
            log.start()
        try:
            figures = soaked(log, installation, chosen)
        finally:
            installation.close()
            log.stop()
    print(json.dumps(figures) if chosen.json else "\n".join(table(figures)))


if __name__ == "__main__":
    main()
