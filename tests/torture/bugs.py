"""Bugs to build into the workload, one for each promise: a harness that finds none of them proves nothing.

Each breaks one rule of the transport at the place where the rule is kept. What would show only in a narrow moment is
given time: ``slowly`` makes every append take longer, as a busy broker would.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from traderecon.tables import BatchTable
from traderecon.transport import MicroBatch, Outgoing, stream
from traderecon.transport.app import StreamApp
from traderecon.transport.consumer import BatchConsumer
from traderecon.transport.progress import Fetch, PartitionProgress

SLOW_S = 0.3
EVERY = 5
"""Most bugs bite once in so many times."""


def skip_an_offset() -> None:
    """A record of a fetch is passed over."""
    undelivered = PartitionProgress.undelivered
    due = every_nth()

    def skipping(self: PartitionProgress, fetch: Fetch) -> Sequence[Any]:
        records = undelivered(self, fetch)
        return records[1:] if len(records) > 1 and due() else records

    PartitionProgress.undelivered = skipping  # type: ignore[method-assign]


def drop_a_fetch() -> None:
    """A fetch is dropped, and the one after it taken for the next."""
    undelivered = PartitionProgress.undelivered
    due = every_nth()
    PartitionProgress.follows = lambda self, fetch: True  # type: ignore[method-assign]

    def dropping(self: PartitionProgress, fetch: Fetch) -> Sequence[Any]:
        return () if due() else undelivered(self, fetch)

    PartitionProgress.undelivered = dropping  # type: ignore[method-assign]


def commit_early() -> None:
    """What was delivered is committed, done or not."""
    slowly()

    def settle(self: PartitionProgress) -> int:
        self.done = self.next_offset
        return self.done

    PartitionProgress.settle = settle  # type: ignore[method-assign]


def deliver_a_stale_batch() -> None:
    """Records of the batch before come in the place of new ones."""
    deliver = BatchConsumer._deliver
    due = every_nth()
    before: dict[Any, MicroBatch] = {}

    async def stale(self: BatchConsumer, tp: Any, progress: PartitionProgress, batch: MicroBatch, end: int) -> None:
        old = before.get(tp, batch)
        before[tp] = batch
        if len(batch) > 1 and due():
            batch = MicroBatch(batch.topic, batch.partition, [*old.records[:-1], batch.records[-1]])
        await deliver(self, tp, progress, batch, end)

    BatchConsumer._deliver = stale  # type: ignore[method-assign]


def forget_results() -> None:
    """Results are sent, and not waited for."""
    append = StreamApp.append
    pending = set()

    async def later(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        if not topic.endswith("-out"):
            return await append(self, topic, partition, rows)

        async def send() -> None:
            await asyncio.sleep(SLOW_S)
            await append(self, topic, partition, rows)

        pending.add(asyncio.get_running_loop().create_task(send()))
        return []

    StreamApp.append = later  # type: ignore[method-assign]


def drop_a_changelog_record() -> None:
    """The local store gets a row that the changelog does not."""
    append = StreamApp.append
    due = every_nth()

    async def dropping(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        if not topic.endswith("-changelog") or len(rows) < 2 or not due():
            return await append(self, topic, partition, rows)
        # A fact where there is one: other rows are written again or deleted, and nobody would ever know.
        lost = next((at for at, row in enumerate(rows) if (row.key or b"").startswith(b"f")), 0)
        return await append(self, topic, partition, [*rows[:lost], *rows[lost + 1 :]])

    StreamApp.append = dropping  # type: ignore[method-assign]


def store_before_changelog() -> None:
    """The local store is written first, and the changelog some time later."""
    append = StreamApp.append
    pending = set()

    async def later(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        if not topic.endswith("-changelog"):
            return await append(self, topic, partition, rows)

        async def send() -> None:
            await asyncio.sleep(SLOW_S)
            await append(self, topic, partition, rows)

        pending.add(asyncio.get_running_loop().create_task(send()))
        return [range(0, len(rows))]

    StreamApp.append = later  # type: ignore[method-assign]
    BatchTable.next_changelog_offset = lambda self, partition: 0  # type: ignore[method-assign]


def acknowledge_failures() -> None:
    """An agent that fails is acknowledged and goes on, as in Faust."""
    append = StreamApp.append
    due = every_nth()

    async def failing(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        if topic.endswith("-out") and due():
            for event in (actor.stream.current_event for agent in self.agents.values() for actor in agent._actors):
                if event is not None:
                    event.ack()
            raise RuntimeError("a bug")
        return await append(self, topic, partition, rows)

    async def nothing(agent: Any, error: BaseException) -> None: ...

    StreamApp.append = failing  # type: ignore[method-assign]
    stream._stop_on_error = nothing


def overlook_another_writer() -> None:
    """The offset a write to the changelog got is taken for the one expected."""
    slowly()
    write = BatchTable._store_rows

    async def unread(self: BatchTable, partition: int, changes: dict[bytes, bytes | None]) -> None:
        topic = self.changelog_topic.get_topic_name()
        spans = await self.app.append(topic, partition, [Outgoing(*row) for row in changes.items()])
        write(self, partition, changes.items(), spans[-1].stop)

    BatchTable._write = unread  # type: ignore[method-assign]


def let_applied_fall() -> None:
    """A replay that ends before what has been applied sets that back."""
    applied, write = b"\x00applied\x00", BatchTable._write

    async def falling(self: BatchTable, partition: int, changes: dict[bytes, bytes | None]) -> None:
        await write(self, partition, changes)
        kept = {key: value for key, value in changes.items() if key.startswith(applied)}
        for key in kept:
            self.data.of(partition).put(key, b"%d" % LAST[id(self), partition])

    write_batch = BatchTable.write_batch

    def noting(self: BatchTable, batch: MicroBatch) -> Any:
        LAST[id(self), batch.partition] = batch.last_offset
        return write_batch(self, batch)

    BatchTable._write = falling  # type: ignore[method-assign]
    BatchTable.write_batch = noting  # type: ignore[method-assign]


def recover_half() -> None:
    """A table counts as recovered when only some of its changelog has been read."""
    restore = BatchTable.restore

    def half(self: BatchTable, tp: Any, records: Sequence[Any], end: int) -> None:
        restore(self, tp, records[::2], end)

    BatchTable.restore = half  # type: ignore[method-assign]


def judge_by_arrival() -> None:
    """A replay is taken for news: the table forgets which records it has applied, and that it has the fact."""
    from traderecon.tables import TableBatch

    BatchTable.applied = lambda self, topic, partition: -1  # type: ignore[method-assign]
    TableBatch.get = lambda self, key: None  # type: ignore[method-assign]


LAST: dict[tuple[int, int], int] = {}
"""The last offset of the batch a partition of a table is busy with."""

BUGS: dict[str, Callable[[], None]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        skip_an_offset,
        drop_a_fetch,
        commit_early,
        deliver_a_stale_batch,
        forget_results,
        drop_a_changelog_record,
        store_before_changelog,
        acknowledge_failures,
        overlook_another_writer,
        let_applied_fall,
        recover_half,
        judge_by_arrival,
    )
}


def slowly() -> None:
    """Every append takes longer."""
    append = StreamApp.append

    async def slow(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        await asyncio.sleep(SLOW_S)
        return await append(self, topic, partition, rows)

    StreamApp.append = slow  # type: ignore[method-assign]


def every_nth() -> Callable[[], bool]:
    """True once in ``EVERY`` calls."""
    calls: Iterable[int] = iter(range(1, 1_000_000_000))
    count = iter(calls)
    return lambda: next(count) % EVERY == 0
