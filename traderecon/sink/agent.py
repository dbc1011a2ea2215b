"""The sink's agent: write every output topic to the store batch by batch, starting from the offsets in the database.

The store runs in its own thread, so the event loop is never blocked; a batch is acknowledged after its commit. The
store closes with the app, which leaves the database as a single file.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import monotonic

from faust.types import TP, StreamT

from traderecon.clock import now_ns
from traderecon.records import Origin
from traderecon.records.dead_letter import dead_letter_key, encode_dead_letter, reject_failing, reject_foreign
from traderecon.records.instants import NS_PER_S, received_ns
from traderecon.sink.decoding import FailingRecord, RecordError
from traderecon.sink.store import Store
from traderecon.sink.store_thread import StoreThread
from traderecon.sink.write_result import WriteResult
from traderecon.stage import Stage
from traderecon.telemetry.metrics import Metrics
from traderecon.transport import MicroBatch, Outgoing, Record
from traderecon.transport.app import StreamApp
from traderecon.transport.retry_counts import LIMIT

FILE_CHECK_S = 2.0
"""How often to check that the database file is still there: SQLite goes on writing to a deleted file without an error.
"""


def attach(stage: Stage, store: Store) -> None:
    """Add the sink's agent to the stage's app, and start its partitions at the offsets of the database.

    The store must be ready; it is closed when the app stops. A record that the topic must not carry, or that cannot be
    written, ends the process; on the third attempt it becomes a dead letter instead. An error of the database makes no
    record a dead letter.
    """
    app, topics, metrics = stage.app, stage.topics, stage.metrics
    thread = StoreThread(app, store)

    async def start_offsets(tps: set[TP]) -> Mapping[TP, int]:
        stored = await thread.run(store.offsets)
        new = {tp for tp in tps if (tp.topic, tp.partition) not in stored}
        earliest = await app.consumer.earliest_offsets(*new) if new else {}
        offsets = {**store.note_earliest(earliest), **stored}
        available = (tps - new) | earliest.keys()  # a partition without a leader starts later
        return {tp: offsets[tp.topic, tp.partition] for tp in available}

    async def sink(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            started_s = monotonic()
            rejected_offsets: set[int] = set()
            while True:
                try:
                    result = await thread.run(partial(store.take, batch, rejected_offsets))
                except RecordError as error:
                    if stage.retry_counts.count_failure(batch, error.record) < LIMIT:
                        raise
                    if isinstance(error, FailingRecord):
                        await thread.run(store.require_undamaged)
                    await reject(batch, error)
                    rejected_offsets.add(error.record.offset)
                else:
                    break
            metrics.sink_batch.observe(monotonic() - started_s)
            _count(metrics, result)

    async def reject(batch: MicroBatch, error: RecordError) -> None:
        record = error.record
        origin = _origin(batch, record)
        if isinstance(error, FailingRecord):
            rejected = reject_failing(origin, error.cause)
        else:
            rejected = reject_foreign(origin, str(error))
        message = Outgoing(dead_letter_key(record.key), encode_dead_letter(rejected, record.key, record.value))
        await app.append(topics.dead_letters, batch.partition, [message])
        metrics.rejected.labels(batch.topic, rejected.code).inc()

    app.start_offsets = start_offsets
    _check_file_regularly(app, partial(thread.run, store.require_in_place))
    app.async_exit_stack.push_async_callback(thread.close)  # runs after the agents have ended
    app.agent(app.topic(*topics.outputs, key_type=bytes, value_type=bytes), name="sink")(sink)


def _check_file_regularly(app: StreamApp, check: Callable[[], Awaitable[None]]) -> None:
    async def run_check() -> None:
        await check()

    app.timer(FILE_CHECK_S)(run_check)


def _origin(batch: MicroBatch, record: Record) -> Origin:
    return Origin(batch.topic, batch.partition, record.offset, received_ns(record.timestamp))


def _count(metrics: Metrics, result: WriteResult) -> None:
    metrics.sink_rows.inc(result.rows)
    metrics.conflicts.inc(result.conflicts)
    committed_at_ns = now_ns()
    for received_at_ns in result.received_at_ns:
        metrics.end_to_end.observe(max(0, committed_at_ns - received_at_ns) / NS_PER_S)
