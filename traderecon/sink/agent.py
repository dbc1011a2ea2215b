"""The sink's agent: every output topic into the store, batch by batch, and on from where the database says.

The store works in a thread of its own, so the loop goes on meanwhile; a batch is acknowledged after its commit. It ends
with the app: then the database is one file.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import monotonic

from faust.types import TP, StreamT

from traderecon.clock import now_ns
from traderecon.records import Origin
from traderecon.records.dead_letter import dead_letter, dead_letter_key, not_ours
from traderecon.records.instants import NS_PER_S, received_ns
from traderecon.sink.decoding import ForeignRecord
from traderecon.sink.store import Store
from traderecon.sink.store_thread import StoreThread
from traderecon.sink.write_result import WriteResult
from traderecon.stage import Stage
from traderecon.telemetry.metrics import Metrics
from traderecon.transport import MicroBatch, Outgoing, Record, StreamApp
from traderecon.transport.retry_counts import LIMIT

IN_PLACE_S = 2.0
"""How often the database's file is looked for: one that was removed takes what is written with it, without a word."""


def attach(stage: Stage, store: Store) -> None:
    """Give the stage's app the sink's agent, and its partitions the offsets of the database.

    The store is ready, and closed when the app stops. The app writes dead letters: of a record that is none of ours,
    the third time that it ends the process.
    """
    app, topics, metrics = stage.app, stage.topics, stage.metrics
    thread = StoreThread(app, store)

    async def start_offsets(tps: set[TP]) -> Mapping[TP, int]:
        kept = await thread.ask(store.offsets)
        fresh = {tp for tp in tps if (tp.topic, tp.partition) not in kept}
        earliest = await app.consumer.earliest_offsets(*fresh) if fresh else {}
        known = {**store.begins(earliest), **kept}
        answered = (tps - fresh) | earliest.keys()  # a partition without a leader begins later
        return {tp: known[tp.topic, tp.partition] for tp in answered}

    async def sink(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            started_s = monotonic()
            aside: set[int] = set()
            while True:
                try:
                    taken = await thread.ask(partial(store.take, batch, aside))
                except ForeignRecord as error:
                    if stage.retry_counts.another(batch, error.record) < LIMIT:
                        raise
                    await put_aside(batch, error)
                    aside.add(error.record.offset)
                else:
                    break
            metrics.sink_batch.observe(monotonic() - started_s)
            _count(metrics, taken)

    async def put_aside(batch: MicroBatch, error: ForeignRecord) -> None:
        rejected, record = not_ours(_place(batch, error.record), str(error)), error.record
        letter = Outgoing(dead_letter_key(record.key), dead_letter(rejected, record.key, record.value))
        await app.append(topics.dead_letters, batch.partition, [letter])
        metrics.rejected.labels(batch.topic, rejected.code).inc()

    app.start_offsets = start_offsets
    _look_for_the_file(app, partial(thread.ask, store.require_in_place))
    app.async_exit_stack.push_async_callback(thread.close)  # left when the agents have ended
    app.agent(app.topic(*topics.outputs, key_type=bytes, value_type=bytes), name="sink")(sink)


def _look_for_the_file(app: StreamApp, look: Callable[[], Awaitable[None]]) -> None:
    async def every() -> None:
        await look()

    app.timer(IN_PLACE_S)(every)


def _place(batch: MicroBatch, record: Record) -> Origin:
    return Origin(batch.topic, batch.partition, record.offset, received_ns(record.timestamp))


def _count(metrics: Metrics, taken: WriteResult) -> None:
    metrics.sink_rows.inc(taken.rows)
    metrics.conflicts.inc(taken.conflicts)
    committed_at_ns = now_ns()
    for received_at_ns in taken.received_at_ns:
        metrics.end_to_end.observe(max(0, committed_at_ns - received_at_ns) / NS_PER_S)
