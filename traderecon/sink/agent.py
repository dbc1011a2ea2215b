"""The sink's agent: every output topic into the store, batch by batch, and on from where the database says.

The store works in a thread of its own, so the loop goes on meanwhile; a batch is acknowledged after its commit. It ends
with the app: then the database is one file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import TypeVar

from faust.types import TP, StreamT

from traderecon.clock import now_ns
from traderecon.records import Origin
from traderecon.records.dead_letter import dead_letter, failed, letter_key
from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.sink.database import StoreError
from traderecon.sink.messages import NotOurs
from traderecon.sink.store import Store
from traderecon.sink.taken import Taken
from traderecon.stage import Stage
from traderecon.telemetry.metrics import Metrics
from traderecon.transport import MicroBatch, Outgoing, Record, StreamApp
from traderecon.transport.halt import PROMISE, halt
from traderecon.transport.strikes import LIMIT

SLOW_S = 5.0
"""A transaction takes milliseconds: after this long the sink says that it waits."""
IN_PLACE_S = 2.0
"""How often the database's file is looked for: one that was removed takes what is written with it, without a word."""
HOLD = "database"

Answer = TypeVar("Answer")


def attach(stage: Stage, store: Store) -> None:
    """Give the stage's app the sink's agent, and its partitions the offsets of the database.

    The store is ready, and closed when the app stops. The app writes dead letters: of a record that is none of ours,
    the third time that it ends the process.
    """
    app, topics, metrics = stage.app, stage.topics, stage.metrics
    # One thread: what a cancelled agent left in it ends before anything else is asked of the store.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")

    async def stored(work: Callable[[], Answer]) -> Answer:
        """What the store answers, however long it takes: a database that somebody keeps to himself is waited for."""
        began_s = monotonic()
        while True:
            asked = asyncio.get_running_loop().run_in_executor(thread, work)
            while not (await asyncio.wait({asked}, timeout=SLOW_S))[0]:
                waited = f"{store.path} has not answered for {monotonic() - began_s:.0f} s: who keeps it?"
                app.holds.put(HOLD, f"{waited} Nothing is lost: the topics keep what comes.")
            try:
                answer = asked.result()
            except StoreError as error:
                if not error.passes:
                    halt(error.sentence, error if error.code == PROMISE else None, code=error.code)
                app.holds.put(HOLD, error.sentence)
            else:
                app.holds.lift(HOLD)
                return answer

    async def start_offsets(tps: set[TP]) -> Mapping[TP, int]:
        kept = await stored(store.offsets)
        fresh = {tp for tp in tps if tuple(tp) not in kept}
        earliest = await app.consumer.earliest_offsets(*fresh) if fresh else {}
        answered = (tps - fresh) | earliest.keys()  # a partition without a leader begins later
        return {tp: kept.get((tp.topic, tp.partition), earliest.get(tp) or 0) for tp in answered}

    async def sink(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            started_s = monotonic()
            aside: set[int] = set()
            while True:
                try:
                    taken = await stored(partial(store.take, batch, aside))
                except NotOurs as error:
                    if stage.strikes.another(batch, error.record) < LIMIT:
                        raise
                    await put_aside(batch, error)
                    aside.add(error.record.offset)
                else:
                    break
            metrics.sink_batch.observe(monotonic() - started_s)
            _count(metrics, taken)

    async def put_aside(batch: MicroBatch, error: NotOurs) -> None:
        rejected, record = failed(_place(batch, error.record), error), error.record
        letter = Outgoing(letter_key(record.key), dead_letter(rejected, record.key, record.value))
        await app.append(topics.dead_letters, batch.partition, [letter])
        metrics.rejected.labels(batch.topic, rejected.code).inc()

    async def close() -> None:
        await stored(store.close)
        thread.shutdown()

    app.start_offsets = start_offsets
    _look_for_the_file(app, partial(stored, store.require_in_place))
    app.async_exit_stack.push_async_callback(close)  # left when the agents have ended
    app.agent(app.topic(*topics.outputs, key_type=bytes, value_type=bytes), name="sink")(sink)


def _look_for_the_file(app: StreamApp, look: Callable[[], Awaitable[None]]) -> None:
    async def every() -> None:
        await look()

    app.timer(IN_PLACE_S)(every)


def _place(batch: MicroBatch, record: Record) -> Origin:
    return Origin(batch.topic, batch.partition, record.offset, record.timestamp * NS_PER_MS)


def _count(metrics: Metrics, taken: Taken) -> None:
    metrics.sink_rows.inc(taken.rows)
    metrics.conflicts.inc(taken.conflicts)
    committed_at_ns = now_ns()
    for received_at_ns in taken.received_at_ns:
        metrics.end_to_end.observe(max(0, committed_at_ns - received_at_ns) / NS_PER_S)
