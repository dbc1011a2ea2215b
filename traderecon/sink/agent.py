"""The sink's agent: every output topic into the store, batch by batch, and on from where the database says.

The store works in a thread of its own, so the loop goes on meanwhile; a batch is acknowledged after its commit.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import TypeVar

from faust.types import TP, StreamT

from traderecon.clock import now_ns
from traderecon.records.instants import NS_PER_S
from traderecon.sink.database import StoreError
from traderecon.sink.store import Store
from traderecon.sink.taken import Taken
from traderecon.telemetry.metrics import Metrics
from traderecon.topics import Topics
from traderecon.transport import MicroBatch, StreamApp
from traderecon.transport.halt import halt

Answer = TypeVar("Answer")


def attach(app: StreamApp, store: Store, topics: Topics, metrics: Metrics) -> None:
    """Give an app the sink's agent, and its partitions the offsets of the database. The store is ready."""
    # One thread: what a cancelled agent left in it ends before anything else is asked of the store.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")

    async def stored(work: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except StoreError as error:
            halt(error.sentence, error, code=error.code)

    async def start_offsets(tps: set[TP]) -> Mapping[TP, int]:
        kept = await stored(store.offsets)
        fresh = {tp for tp in tps if tuple(tp) not in kept}
        earliest = await app.consumer.earliest_offsets(*fresh) if fresh else {}
        return {tp: kept.get((tp.topic, tp.partition), earliest.get(tp) or 0) for tp in tps}

    async def sink(batches: StreamT[MicroBatch]) -> None:
        async for batch in batches:
            started_s = monotonic()
            taken = await stored(partial(store.take, batch))
            metrics.sink_batch.observe(monotonic() - started_s)
            _count(metrics, taken)

    app.start_offsets = start_offsets
    app.agent(app.topic(*topics.outputs, key_type=bytes, value_type=bytes), name="sink")(sink)


def _count(metrics: Metrics, taken: Taken) -> None:
    metrics.sink_rows.inc(taken.rows)
    metrics.conflicts.inc(taken.conflicts)
    committed_at_ns = now_ns()
    for received_at_ns in taken.received_at_ns:
        metrics.end_to_end.observe(max(0, committed_at_ns - received_at_ns) / NS_PER_S)
