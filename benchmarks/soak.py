"""A soak: a worker is fed at full speed for as long as asked; does its memory stay flat, and does it catch up?

    python benchmarks/soak.py [--messages 5000000] [--broker embedded|kafka] [--profile typical|alone] [--json]

One ``traderecon worker`` with all roles, as a user would start it, seen from outside. The feeder stays ahead of it, and
of every role, by a bounded number of messages; graces are short, so that the trades that wait are bounded too. The
profile ``alone`` is executions that nobody confirms: every trade waits for its grace, and is a break for ever.

Resident memory is sampled all the time. What counts is its slope over the second half of the messages, in MiB per
million: a cache is full by then, a leak is not. At the end everything must be decided and stored, and the lag 0.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from feed import EmbeddedLog, KafkaLog

from traderecon.records import Source
from traderecon.simulator import PROFILES, Sent, messages

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pipeline_case import Installation, Running

SEED = 7
PARTITIONS = 4
GRACE_S = 10
APPEND_RECORDS = 4_000
SAMPLE_S = 2.0
LOOK_S = 0.1
DECIDED_S = 3_600
ROWS = 12
"""So many samples are printed."""


class Sample(NamedTuple):
    """One look at the worker: when, what it had read by then, resident memory, the trades that wait."""

    at_s: float
    messages: int
    resident_mib: float
    waiting: int


class Soak:
    """A worker that is fed and watched."""

    def __init__(self, log: KafkaLog | EmbeddedLog, installation: Installation, ahead: int) -> None:
        self._log, self._installation, self._ahead = log, installation, ahead
        self.worker: Running = installation.start_ready()
        self.samples: list[Sample] = []
        self.fed = 0
        self._began_s = time.monotonic()

    def feed(self, day: Iterator[Sent]) -> None:
        """All of it, as fast as the worker takes it."""
        while some := list(islice(day, APPEND_RECORDS)):
            while max(self.fed - self.sample().messages, self.lag()) > self._ahead:
                self.worker.alive()
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
            self.worker.alive()
            time.sleep(LOOK_S)
        began_s = time.monotonic()
        self._installation.until_decided(DECIDED_S)
        while self.lag():
            self.worker.alive()
            time.sleep(LOOK_S)
        self.sample(now=True)
        return time.monotonic() - began_s

    def lag(self) -> int:
        """Messages that some role has not read."""
        return int(self.worker.metric("traderecon_consumer_lag_messages"))

    def sample(self, *, now: bool = False) -> Sample:
        """The newest sample; another one where it is old."""
        at_s = time.monotonic() - self._began_s
        if now or not self.samples or at_s - self.samples[-1].at_s > SAMPLE_S:
            read = int(self.worker.metric("traderecon_messages_consumed_total"))
            waiting = int(self.worker.metric("traderecon_pending_trades"))
            self.samples.append(Sample(at_s, read, self.worker.resident_mib(), waiting))
        return self.samples[-1]


def slope(samples: Sequence[Sample]) -> float:
    """MiB per million messages: the line of least squares through the second half."""
    half = [one for one in samples if one.messages >= samples[-1].messages / 2]
    mean_x = sum(one.messages for one in half) / len(half)
    mean_y = sum(one.resident_mib for one in half) / len(half)
    square = sum((one.messages - mean_x) ** 2 for one in half)
    return 1e6 * sum((one.messages - mean_x) * (one.resident_mib - mean_y) for one in half) / (square or 1.0)


def day(profile: str, count: int) -> Iterator[Sent]:
    """So many messages."""
    if profile != "alone":
        return islice(messages(SEED, count, PROFILES[profile]), count)
    return islice((one for one in messages(SEED, count, PROFILES["clean"]) if one.source is Source.EXECUTIONS), count)


def soaked(log: KafkaLog | EmbeddedLog, installation: Installation, chosen: argparse.Namespace) -> dict[str, Any]:
    """Run it; the figures."""
    installation.create_topics()
    soak = Soak(log, installation, chosen.ahead)
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
            "slope_per_million": round(slope(busy), 2),
        },
        "lag": soak.lag(),
        "samples": [[round(one.at_s, 1), one.messages, round(one.resident_mib, 1), one.waiting] for one in busy],
    }
    if code := soak.worker.leave():
        raise SystemExit(f"the worker was asked to stop, and ended with {code}:\n{soak.worker.log[-2000:]}")
    return figures


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The lines of the report."""
    samples = figures["samples"]
    yield f"{'seconds':>9} {'messages':>12} {'resident MiB':>13} {'trades waiting':>15}"
    for at_s, read, resident, waiting in samples[:: max(1, len(samples) // ROWS)]:
        yield f"{at_s:9.1f} {read:12,} {resident:13.1f} {waiting:15,}"
    memory = figures["resident_mib"]
    yield (
        f"{figures['broker']}: {figures['messages']:,} messages ({figures['profile']}) at {figures['rate']:,}/s, "
        f"settled {figures['settle_s']} s after the last was read, lag {figures['lag']}"
    )
    yield (
        f"resident {memory['half']} MiB at half, {memory['end']} at the end, peak {memory['peak']}; "
        f"slope over the second half {memory['slope_per_million']} MiB per million messages"
    )


def main() -> None:
    """Soak, and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--messages", type=int, default=5_000_000)
    arguments.add_argument("--broker", choices=("embedded", "kafka"), default="embedded")
    arguments.add_argument("--profile", choices=(*PROFILES, "alone"), default="typical")
    arguments.add_argument("--ahead", type=int, default=100_000, help="messages that some role may have to read")
    arguments.add_argument("--directory", type=Path, help="where to work (default: a temporary one)")
    arguments.add_argument("--json", action="store_true", help="all samples too")
    chosen = arguments.parse_args()
    with TemporaryDirectory(prefix="traderecon-soak-", dir=chosen.directory) as folder:
        directory = Path(folder)
        settings = {"grace_seconds": GRACE_S, "topic_partitions": PARTITIONS}
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
