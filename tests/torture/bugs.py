"""Seeded bugs of the transport, one for each guarantee: a harness that finds none of them proves nothing.

Each patches the code that implements one guarantee. Bugs that would only show in a short window get a longer one:
``slow_appends`` makes every append take longer, as on a busy broker.
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
ONE_IN = 5
"""Most bugs take effect once in this many calls."""


def skip_an_offset() -> None:
    """Skip a record of a fetch."""
    undelivered = PartitionProgress.undelivered
    due = every_nth()

    def skipping(self: PartitionProgress, fetch: Fetch) -> Sequence[Any]:
        records = undelivered(self, fetch)
        return records[1:] if len(records) > 1 and due() else records

    PartitionProgress.undelivered = skipping  # type: ignore[method-assign]


def drop_a_fetch() -> None:
    """Drop a fetch, and accept the one after it as the next."""
    undelivered = PartitionProgress.undelivered
    due = every_nth()
    PartitionProgress.follows = lambda self, fetch: True  # type: ignore[method-assign]

    def dropping(self: PartitionProgress, fetch: Fetch) -> Sequence[Any]:
        return () if due() else undelivered(self, fetch)

    PartitionProgress.undelivered = dropping  # type: ignore[method-assign]


def commit_early() -> None:
    """Commit what was delivered, whether or not it is done."""
    slow_appends()

    def settle(self: PartitionProgress) -> int:
        self.done = self.next_offset
        return self.done

    PartitionProgress.settle = settle  # type: ignore[method-assign]


def deliver_a_stale_batch() -> None:
    """Deliver records of the previous batch instead of new ones."""
    deliver = BatchConsumer._deliver
    due = every_nth()
    previous: dict[Any, MicroBatch] = {}

    async def stale(self: BatchConsumer, tp: Any, progress: PartitionProgress, batch: MicroBatch, end: int) -> None:
        previous_batch = previous.get(tp, batch)
        previous[tp] = batch
        if len(batch) > 1 and due():
            batch = MicroBatch(batch.topic, batch.partition, [*previous_batch.records[:-1], batch.records[-1]])
        await deliver(self, tp, progress, batch, end)

    BatchConsumer._deliver = stale  # type: ignore[method-assign]


def forget_results() -> None:
    """Send results without waiting for their acknowledgement."""
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
    """Write a row to the local store but not to the changelog."""
    append = StreamApp.append
    due = every_nth()

    async def dropping(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        if not topic.endswith("-changelog") or len(rows) < 2 or not due():
            return await append(self, topic, partition, rows)
        # Preferably a fact: other rows are rewritten or deleted later, which would hide the loss.
        dropped = next((index for index, row in enumerate(rows) if (row.key or b"").startswith(b"f")), 0)
        return await append(self, topic, partition, [*rows[:dropped], *rows[dropped + 1 :]])

    StreamApp.append = dropping  # type: ignore[method-assign]


def store_before_changelog() -> None:
    """Write the local store first, and the changelog some time later."""
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
    """Acknowledge the event of an agent that fails, and continue, as Faust does."""
    append = StreamApp.append
    due = every_nth()

    async def failing(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        if topic.endswith("-out") and due():
            for event in (actor.stream.current_event for agent in self.agents.values() for actor in agent._actors):
                if event is not None:
                    event.ack()
            raise RuntimeError("a bug")
        return await append(self, topic, partition, rows)

    async def ignore(agent: Any, error: BaseException) -> None: ...

    StreamApp.append = failing  # type: ignore[method-assign]
    stream._stop_on_error = ignore


def overlook_another_writer() -> None:
    """Do not check the offset that a changelog write got against the expected one."""
    slow_appends()
    write = BatchTable._store_rows

    async def unread(self: BatchTable, partition: int, changes: dict[bytes, bytes | None]) -> None:
        topic = self.changelog_topic.get_topic_name()
        spans = await self.app.append(topic, partition, [Outgoing(*row) for row in changes.items()])
        write(self, partition, changes.items(), spans[-1].stop)

    BatchTable._write = unread  # type: ignore[method-assign]


def let_applied_fall() -> None:
    """Let a replay that ends before the applied offset set it back."""
    applied, write = b"\x00applied\x00", BatchTable._write

    async def falling(self: BatchTable, partition: int, changes: dict[bytes, bytes | None]) -> None:
        await write(self, partition, changes)
        applied_rows = {key: value for key, value in changes.items() if key.startswith(applied)}
        for key in applied_rows:
            self.data.of(partition).put(key, b"%d" % LAST_OFFSETS[id(self), partition])

    write_batch = BatchTable.write_batch

    def remembering(self: BatchTable, batch: MicroBatch) -> Any:
        LAST_OFFSETS[id(self), batch.partition] = batch.last_offset
        return write_batch(self, batch)

    BatchTable._write = falling  # type: ignore[method-assign]
    BatchTable.write_batch = remembering  # type: ignore[method-assign]


def recover_half() -> None:
    """Recover a table from only a part of its changelog."""
    restore = BatchTable.restore

    def half(self: BatchTable, tp: Any, records: Sequence[Any], end: int) -> None:
        restore(self, tp, records[::2], end)

    BatchTable.restore = half  # type: ignore[method-assign]


def judge_by_arrival() -> None:
    """Treat a replay as new: forget the applied offset, and that the table has the fact."""
    from traderecon.tables import TableBatch

    BatchTable.applied = lambda self, topic, partition: -1  # type: ignore[method-assign]
    TableBatch.get = lambda self, key: None  # type: ignore[method-assign]


LAST_OFFSETS: dict[tuple[int, int], int] = {}
"""The last offset of the current batch, by table and partition."""

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


def slow_appends() -> None:
    """Make every append take longer."""
    append = StreamApp.append

    async def slow(self: StreamApp, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        await asyncio.sleep(SLOW_S)
        return await append(self, topic, partition, rows)

    StreamApp.append = slow  # type: ignore[method-assign]


def every_nth() -> Callable[[], bool]:
    """A function that returns True once in ``ONE_IN`` calls."""
    calls: Iterable[int] = iter(range(1, 1_000_000_000))
    count = iter(calls)
    return lambda: next(count) % ONE_IN == 0
