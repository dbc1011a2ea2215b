"""The input partitions assigned to a worker: how far each has got, and which ones wait to be started.

commits of the group, bounds of the log, tables  ->  start() seeks  ->  progress
                no leader, or a table to catch up ->  waits_for     ->  start_late()
"""

from collections.abc import Mapping
from typing import Any

from faust.types import TP

from traderecon.exit_codes import Exit
from traderecon.transport.catch_up import catch_up_table
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.progress import PartitionProgress
from traderecon.transport.starts import StartState, start


class AssignedPartitions:
    """Seeks the partitions of ``consumer``, a ``BatchConsumer``, to their start offsets."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._app = consumer.app
        self._committed: Mapping[TP, int] = {}
        self._waiting, self._read_first = set[TP](), set[TP]()
        self.progress: dict[TP, PartitionProgress] = {}

    @property
    def waits_for(self) -> set[TP]:
        """Partitions that wait for a leader, and those to be read before a partition can start."""
        return self._waiting | self._read_first

    def clear(self) -> None:
        """Forget all partitions: the assignment has changed."""
        self.progress, self._waiting, self._read_first = {}, set(), set()

    async def note_committed(self, tps: set[TP]) -> None:
        """Read the group's commits of ``tps``, and the fingerprints stored with them."""
        self._committed = await self._consumer.committed(tps)
        await self._consumer.same_log.read_notes(tps)

    async def start(self, tps: set[TP]) -> None:
        """Start the partitions of a new assignment. Those whose leader does not answer wait."""
        self.progress = await self._seek(tps)
        self._waiting = tps - self.progress.keys()

    async def start_late(self) -> None:
        """Start the partitions that wait, as soon as their leader answers."""
        waiting = self._waiting
        started = await self._seek(set(waiting)) if waiting else {}
        if started and waiting is self._waiting:  # unchanged: no new assignment meanwhile
            self.progress |= started
            self._waiting = waiting - started.keys()

    async def _seek(self, tps: set[TP]) -> dict[TP, PartitionProgress]:
        """Seek every partition whose leader answers.

        Where a table is behind the commit, start right after what the table has: what it lost is read again.
        """
        consumer, app = self._consumer, self._app
        tps = await consumer.same_log.verify(tps)
        external = await app.start_offsets(tps) if app.start_offsets is not None else {}
        states = await self._states(tps, external)
        if any(state.required_end > state.high for state in states.values()):
            await consumer.sleep(consumer.watch_interval_s)  # a leader just elected may not know its own end yet
            states = await self._states(tps, external)
        progress, read_first = {}, set[TP]()
        for tp, state in states.items():
            position = start(tp, state)
            if isinstance(position, str):
                fail_stop(position, code=Exit.CONFIG)
            if app.tables and tp not in external:
                await consumer.same_log.begin_tables(tp)
            if position.behind:
                if missing := await catch_up_table(app, tp):
                    read_first |= missing
                    continue  # waits like a partition without a leader; the others go on
                text = "%s[%s]: a table ends at offset %s, the group has committed %s: reading what lies between again"
                consumer.log.warning(text, *tp, position.offset, state.committed)
            await consumer._seek(tp, position.offset)
            progress[tp] = PartitionProgress(position.offset)
        self._read_first = read_first
        return progress

    async def _states(self, tps: set[TP], external: Mapping[TP, int]) -> dict[TP, StartState]:
        """Bounds, committed, external and applied offset of each partition."""
        return {
            tp: StartState(
                low,
                high,
                None if tp in external else self._committed.get(tp),
                external.get(tp),
                self._applied(tp) if self._app.tables else None,
            )
            for tp, (low, high) in (await self._consumer.bounds(tps)).items()
        }

    def _applied(self, tp: TP) -> int:
        """The last offset whose effects are in a table; -1 when there is none."""
        return max((table.applied(*tp) for table in self._app.tables.values()), default=-1)
