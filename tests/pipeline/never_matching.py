"""Legs that never match: how much memory a worker has while they come, and while they wait.

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
AT_ONCE = 2_000


class Reading(NamedTuple):
    """So many legs wait; what the worker has resident now, and had at most; since the start."""

    legs: int
    now_mib: float
    peak_mib: float
    seconds: float


def waiting(directory: Path) -> Installation:
    """An installation whose graces do not end while anybody looks."""
    return Installation(directory, grace_seconds=DAY_S)


def watched(installation: Installation, worker: Running, legs: int, *, within_s: float) -> Iterator[Reading]:
    """Send so many executions, a tenth at a time; each tenth is read when all of it waits in matching."""
    began_s = time.monotonic()
    for tenth in range(1, 11):
        first, last = legs * (tenth - 1) // 10, legs * tenth // 10
        asyncio.run(_sent(installation, range(first, last)))
        installation.until(lambda last=last: pending(worker) == last, f"{last} wait", within_s)  # type: ignore[misc]
        yield Reading(last, worker.resident_mib(), worker.peak_mib(), time.monotonic() - began_s)


def pending(worker: Running) -> int:
    """How many trades matching says are waiting."""
    return int(worker.metric("traderecon_pending_trades"))


async def _sent(installation: Installation, numbers: Sequence[int]) -> None:
    async with connect(installation.broker, installation.data_dir) as client:
        topic = installation.topics.executions
        count = (await client.topics())[topic]
        for at in range(0, len(numbers), AT_ONCE):
            by_partition: dict[int, list[Outgoing]] = {}
            for number in numbers[at : at + AT_ONCE]:
                key = b"G%d" % number
                place = by_partition.setdefault(partition_for(key, count), [])
                place.append(Outgoing(key, execution(number)))
            await asyncio.gather(*(client.append(topic, place, rows) for place, rows in by_partition.items()))


def main(legs: int, directory: Path) -> None:
    """Watch one worker, and say what it has."""
    installation = waiting(directory)
    installation.create_topics()
    try:
        worker = installation.start_ready("intake,matching,sink")
        for reading in watched(installation, worker, legs, within_s=1_800):
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
