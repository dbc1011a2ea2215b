"""What a worker does while the transport is measured: a job, a watch, and the figures sent to the parent.

    Task -> ours | stock | bare -> Figures      in a process of its own, which then stops in order

See transport.py for what each job is.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

from benchmarks.feed import PARTITIONS, Row, rows

BATCH_BYTES = 900_000


class Figures(NamedTuple):
    """What one measurement found."""

    records: int
    wall_s: float
    cpu_s: float
    rows: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a record."""
        return self.cpu_s / self.records * 1e6


class Task(NamedTuple):
    """What a process is to measure: ``name`` is the app's, and begins the names of its topics."""

    job: str
    broker: str
    name: str
    source: str
    records: int
    directory: Path

    @property
    def out(self) -> str:
        """The topic for results."""
        return f"{self.name}-out"


class Stopwatch:
    """From the first call of ``begin`` to ``end``, which tells the parent and asks this process to stop in order."""

    def __init__(self, parent: Connection, records: int) -> None:
        self._parent = parent
        self._records = records
        self._began: tuple[float, float] | None = None

    def begin(self) -> None:
        """The first record is here."""
        if self._began is None:
            self._began = perf_counter(), process_time()

    def end(self, table: Any = ()) -> None:
        """The last record is done; what is now in ``table`` is counted, and not timed."""
        assert self._began is not None
        wall_s, cpu_s = perf_counter() - self._began[0], process_time() - self._began[1]
        self._parent.send(Figures(self._records, wall_s, cpu_s, rows=sum(1 for _ in table)))
        os.kill(os.getpid(), signal.SIGTERM)


# -- the measurements, each in a process of its own


def ours(task: Task, parent: Connection) -> None:
    """A worker on our transport."""
    from traderecon.intake.messages import decode
    from traderecon.records.facts import Fact, Origin
    from traderecon.records.sources import Source
    from traderecon.tables import BatchTable
    from traderecon.transport import MicroBatch, Outgoing
    from traderecon.transport.app import StreamApp

    app: Any = StreamApp(task.name, broker=task.broker, data_dir=task.directory, partitions=PARTITIONS)
    watch = Stopwatch(parent, task.records)
    table = BatchTable(app, name="counts", partitions=PARTITIONS)
    if task.job in {"count", "recover"}:
        app.tables.add(table)

    async def decoded(batch: MicroBatch) -> None:
        for record in batch:
            origin = Origin(batch.topic, batch.partition, record.offset, 0)
            assert isinstance(decode(Source.EXECUTIONS, record.value or b"", origin), Fact)

    async def count(batch: MicroBatch) -> None:
        write_batch = table.write_batch(batch)
        results = []
        for record in batch:
            if record.offset > write_batch.applied:
                trade = (record.key or b"") + b"\x00"
                number = 1 + sum(1 for _ in write_batch.scan(trade))
                write_batch.put(trade + b"%d" % record.offset, record.value or b"")
                results.append(Outgoing(record.key, b'{"n":%d,"at":%d}' % (number, record.offset)))
        await app.append(task.out, batch.partition, results)
        await write_batch.write()

    work = {"decode": decoded, "count": count}.get(task.job)

    async def agent(batches: Any) -> None:
        async for batch in batches:
            watch.begin()
            if work is not None:
                await work(batch)

    async def settled() -> None:
        while sum(progress.settle() for progress in app.consumer._progress.values()) < task.records:
            await asyncio.sleep(0.005)
        watch.end()

    app.agent(app.topic(task.source, key_type=bytes, value_type=bytes))(agent)
    if task.job == "recover":
        time_recovery(app, watch)
    else:
        app.task(settled)
    work_on(app)


def stock(task: Task, parent: Connection) -> None:
    """The same on Faust as it comes, in the manner of its manual."""
    import faust

    from traderecon.intake.messages import decode
    from traderecon.records.facts import Fact, Origin
    from traderecon.records.sources import Source

    app = faust.App(
        task.name,
        broker=task.broker.replace("kafka://", "aiokafka://"),
        store="rocksdb://",
        datadir=str(task.directory),
        topic_partitions=PARTITIONS,
        web_enabled=False,
    )
    source = app.topic(task.source, key_type=bytes, value_type=bytes, value_serializer="raw")
    out = app.topic(task.out, key_type=bytes, value_type=bytes, value_serializer="raw")
    table: Any = app.Table("counts", default=int) if task.job in {"count", "recover"} else None
    watch = Stopwatch(parent, task.records)

    async def agent(stream: Any) -> None:
        seen = 0
        async for event in stream.events():
            watch.begin()
            message = event.message
            if task.job == "decode":
                origin = Origin(message.topic, message.partition, message.offset, 0)
                assert isinstance(decode(Source.EXECUTIONS, event.value, origin), Fact)
            elif task.job == "count":
                key = event.key.decode()
                table[key] += 1
                value = b'{"n":%d,"at":%d}' % (table[key], message.offset)
                await out.send(key=event.key, value=value, partition=message.partition)
            seen += 1
            if seen == task.records:
                await app.producer.flush()
                watch.end()

    app.agent(source)(agent)
    if task.job == "recover":
        time_recovery(app, watch)
    work_on(app)


def work_on(*apps: Any) -> None:
    """Run apps until a signal, without a word but errors."""
    import faust

    worker = faust.Worker(*apps, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.spinner = None  # it speaks even then
    worker.execute_from_commandline()


def time_recovery(app: Any, watch: Stopwatch) -> None:
    """Begin when partitions have been assigned, end when every table is restored and the streams are about to start."""

    async def begin(*_: Any, **__: Any) -> None:
        watch.begin()

    async def end(*_: Any, **__: Any) -> None:
        watch.end(app.tables["counts"].keys())

    app.on_partitions_assigned.connect(begin)
    app.on_rebalance_complete.connect(end)


def bare(task: Task, parent: Connection) -> None:
    """Neither: what aiokafka does when nothing is around it."""
    import aiokafka

    watch = Stopwatch(parent, task.records)
    address = task.broker.removeprefix("kafka://")

    async def fetch() -> None:
        async with aiokafka.AIOKafkaConsumer(bootstrap_servers=address) as consumer:
            consumer.assign([aiokafka.TopicPartition(task.source, number) for number in range(PARTITIONS)])
            await consumer.seek_to_beginning()
            seen = 0
            while seen < task.records:
                fetched = await consumer.getmany(timeout_ms=500)
                watch.begin()
                seen += sum(map(len, fetched.values()))
            watch.end()

    async def append() -> None:
        sizes = {"max_batch_size": BATCH_BYTES, "max_request_size": BATCH_BYTES + 100_000}
        partitions = rows(task.records)
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=address, acks=-1, **sizes) as producer:
            watch.begin()
            await asyncio.gather(*(send(producer, number, each) for number, each in enumerate(partitions)))
            watch.end()

    async def send(producer: Any, partition: int, pairs: list[Row]) -> None:
        at = 0
        while at < len(pairs):
            batch = producer.create_batch()
            while at < len(pairs) and batch.append(key=pairs[at][0], value=pairs[at][1], timestamp=None) is not None:
                at += 1
            await (await producer.send_batch(batch, task.out, partition=partition))

    asyncio.run(fetch() if task.job == "fetch" else append())


WORKERS: dict[str, Callable[[Task, Connection], None]] = {"ours": ours, "stock": stock, "aiokafka": bare}
