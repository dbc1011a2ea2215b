"""Legs that never match: the memory of a worker while they arrive and while they wait.

export PYTHONPATH=tests
python -m pipeline.never_matching 1000000 DIRECTORY        one line per tenth: legs, MiB now, MiB at most, seconds
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.trades import execution
from pipeline_case import Installation, Running

from traderecon.client.connection import connect
from traderecon.transport import Outgoing, partition_for

DAY_S = 86_400
APPEND_RECORDS = 2_000


class Reading(NamedTuple):
    """The number of waiting legs, and the worker's resident memory, now and at most."""

    legs: int
    now_mib: float
    peak_mib: float
    seconds: float


def long_grace_installation(directory: Path) -> Installation:
    """An installation whose graces outlast the measurement."""
    return Installation(directory, grace_seconds=DAY_S)


def feed_and_measure(installation: Installation, worker: Running, legs: int, *, timeout_s: float) -> Iterator[Reading]:
    """Send ``legs`` executions in ten parts; yields a reading whenever all of a part wait in matching."""
    started_s = time.monotonic()
    for tenth in range(1, 11):
        first, last = legs * (tenth - 1) // 10, legs * tenth // 10
        asyncio.run(_send(installation, range(first, last)))
        installation.until(lambda last=last: pending(worker) == last, f"{last} wait", timeout_s)  # type: ignore[misc]
        yield Reading(last, worker.resident_mib(), worker.peak_mib(), time.monotonic() - started_s)


def pending(worker: Running) -> int:
    """How many trades are waiting, by matching's metric."""
    return int(worker.metric("traderecon_pending_trades"))


async def _send(installation: Installation, numbers: Sequence[int]) -> None:
    async with connect(installation.broker, installation.data_dir) as client:
        topic = installation.topics.executions
        count = (await client.topics())[topic]
        for start in range(0, len(numbers), APPEND_RECORDS):
            by_partition: dict[int, list[Outgoing]] = {}
            for number in numbers[start : start + APPEND_RECORDS]:
                key = b"G%d" % number
                by_partition.setdefault(partition_for(key, count), []).append(Outgoing(key, execution(number)))
            await asyncio.gather(*(client.append(topic, partition, rows) for partition, rows in by_partition.items()))


def main(legs: int, directory: Path) -> None:
    """Run the measurement on one worker, and print it."""
    installation = long_grace_installation(directory)
    installation.create_topics()
    try:
        worker = installation.start_ready("intake,matching,sink")
        for reading in feed_and_measure(installation, worker, legs, timeout_s=1_800):
            sys.stdout.write(
                f"{reading.legs:>9,} legs  {reading.now_mib:6.0f} MiB  at most {reading.peak_mib:6.0f}  "
                f"{reading.seconds:6.0f} s\n"
            )
            sys.stdout.flush()
        size = sum(path.stat().st_size for path in (installation.data_dir / "worker-0").rglob("*") if path.is_file())
        sys.stdout.write(f"tables: {size // 1024**2} MiB\n")
        assert worker.leave() == 0
    finally:
        installation.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
