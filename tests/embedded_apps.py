"""Workers on the embedded log, each in a process of its own, for the tests of it.

python -m embedded_apps count|cut|rejoin|full|relay|fail|send DIRECTORY TABLES
"""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import faust
from faust.types import StreamT
from torture.counting import counting

from traderecon.transport import MicroBatch, Outgoing, embedded_consumer
from traderecon.transport.app import StreamApp, Timing
from traderecon.transport.log import log

PARTITIONS = 4
TIMING = Timing(commit_interval_s=0.1)
JOINS = 6
Batches = StreamT[MicroBatch]


def app_on(directory: Path, tables: Path, name: str) -> StreamApp:
    """An app on the log of a directory."""
    return StreamApp(name, broker=f"embedded://{directory}", data_dir=tables, partitions=PARTITIONS, timing=TIMING)


def count(directory: Path, tables: Path) -> list[StreamApp]:
    """The workload of the torture, with a compaction that is always about."""
    embedded_consumer.TIDY_S = 0.1
    log.MIN_DIRTY = 10
    log.COMPACTED_AT_ONCE = 100
    app = app_on(directory, tables, "t-counting")
    counting(app, "t")
    return [app]


def cut(directory: Path, tables: Path) -> list[StreamApp]:
    """The same, killed when some results are durable and what they come from is not."""
    app = app_on(directory, tables, "t-counting")
    whole = app.append
    results = 0

    async def append(topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        nonlocal results
        spans = await whole(topic, partition, rows)
        results += topic == "t-out"
        if results == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return spans

    app.append = append  # type: ignore[method-assign]  # the moment of the kill
    counting(app, "t")
    return [app]


def rejoin(directory: Path, tables: Path) -> list[StreamApp]:
    """The same, given its partitions anew again and again while it is busy with them."""
    [app] = count(directory, tables)

    async def join() -> None:
        for generation in range(1, JOINS):
            while app.rebalancing or app.consumer_generation_id < generation:
                await asyncio.sleep(0.01)
            await app.consumer.subscribe({tp.topic for tp in app.consumer.assignment()})

    app.task(join)
    return [app]


def full(directory: Path, tables: Path) -> list[StreamApp]:
    """The same, on a disk that takes no file larger than the log is by now, and a little."""
    room = (directory / "log.db").stat().st_size + 300_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    return count(directory, tables)


def relay(directory: Path, tables: Path) -> list[StreamApp]:
    """Two apps of one process: from ``t-in`` to ``t-middle``, and from there to ``t-out``."""
    first, second = app_on(directory, tables / "first", "t-first"), app_on(directory, tables / "second", "t-second")

    def hand_on(app: StreamApp, source: str, target: str) -> None:
        async def agent(batches: Batches) -> None:
            async for batch in batches:
                rows = [Outgoing(one.key, one.value, one.timestamp, one.headers) for one in batch]
                await app.append(target, batch.partition, rows)

        app.agent(app.topic(source), name=f"from-{source}")(agent)

    hand_on(first, "t-in", "t-middle")
    hand_on(second, "t-middle", "t-out")
    return [first, second]


def fail(directory: Path, tables: Path) -> list[StreamApp]:
    """An agent that sends its results, and then cannot go on."""
    app = app_on(directory, tables, "t-fail")

    @app.agent(app.topic("t-in"))
    async def agent(batches: Batches) -> None:
        async for batch in batches:
            await app.append("t-out", batch.partition, [Outgoing(one.key, one.value) for one in batch])
            if any(one.value == b"poison" for one in batch):
                raise RuntimeError("cannot stomach it")

    return [app]


def send(directory: Path, tables: Path) -> list[StreamApp]:
    """An agent that sends in Faust's way, record by record, without waiting."""
    app = app_on(directory, tables, "t-send")
    out = app.topic("t-out", key_type=bytes, value_type=bytes)

    @app.agent(app.topic("t-in"))
    async def agent(batches: Batches) -> None:
        async for batch in batches:
            for one in batch:
                await out.send(key=one.key, value=one.value, timestamp=one.timestamp / 1000, headers={"h": b"1"})

    return [app]


def main(kind: str, directory: str, tables: str) -> None:
    """One worker, until a signal or a halt."""
    apps = {one.__name__: one for one in (count, cut, rejoin, full, relay, fail, send)}
    first, *others = apps[kind](Path(directory), Path(tables))
    faust.Worker(first, *others, loglevel="INFO", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
