"""Table recovery after a rebalance: each changelog is read once, as a range, in batches.

    local store at offset a, changelog ends at b  ->  read [a, b)  ->  table.restore(tp, records)  ->  streams start

Faust reads changelogs record by record through the streams' consumer: 2,400 records/s, and a fetch dropped between two
generations hangs the worker. A range read on its own connection avoids both.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, cast

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.fingerprint import Fingerprint
from traderecon.transport.microbatch import Record

RETRY_S = 1.0
"""Delay between recovery attempts while the log does not answer."""


class Restorable(Protocol):
    """The interface of a table for recovery."""

    def next_changelog_offset(self, partition: int) -> int:
        """The first changelog offset that the local store does not hold; 0 when it is empty."""
        ...

    def store_path(self, partition: int) -> Path:
        """The directory of a partition's local store."""
        ...

    def changelog_mark(self, partition: int) -> Fingerprint | None:
        """The last changelog record that the local store holds; None if it was not recorded."""
        ...

    def restore(self, tp: TP, records: Sequence[Record], end: int) -> None:
        """Store changelog records, in order, and record that the store holds everything below ``end``."""
        ...

    def condemn_if_unreadable(self, partition: int, error: BaseException) -> None:
        """After an error: if the local store was unreadable, have it quarantined at the next start."""
        ...


class RangeRecovery(Recovery):
    """Recovers the active partitions of every table, then starts the streams at their offsets."""

    app: Any  # a StreamApp
    restored = 0
    """Records this process has read to recover tables; the watchdog sees it grow."""
    took_s = 0.0
    """Duration of the last recovery."""

    _rebalances = 0

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Remember the number of this assignment, and start recovery."""
        self._rebalances = self.app.rebalancing_count
        await super().on_rebalance(*args, **kwargs)

    @Service.task
    async def _restart_recovery(self) -> None:
        while not await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]
            self.signal_recovery_start.clear()
            generation, rebalances = self._generation_id, self._rebalances
            try:
                self._set_recovery_started()
                began_s = monotonic()
                await self._wait(self._restore(set(self.active_tps)))
                self.took_s = monotonic() - began_s
                self._set_recovery_ended()
                await self._wait(self._begin(generation, rebalances))
            except RebalanceAgain:
                continue
            except ServiceStopped:
                break
            except self.app.consumer.transient_errors as error:
                self.log.warning("recovery starts again because the log did not answer: %r", error)
                await self.sleep(RETRY_S)
                self.signal_recovery_start.set()
            except Exception as error:
                for tp in self.active_tps:  # the error does not name the table
                    self._table(tp).condemn_if_unreadable(tp.partition, error)
                fail_stop("a table could not be recovered", error)

    async def _restore(self, tps: set[TP]) -> None:
        consumer = self.app.consumer
        await consumer.note_committed()
        hit(Failpoint.OPENING, "")
        starts = {tp: self._table(tp).next_changelog_offset(tp.partition) for tp in tps}
        hit(Failpoint.OPENED, "")
        ends = await self._offsets(tps, consumer.highwaters)
        if any(start > (ends[tp] or 0) for tp, start in starts.items()):
            await self.sleep(consumer.watch_interval_s)  # a leader just elected may not know its own end yet
            ends = await self._offsets(tps, consumer.highwaters)
        await consumer.same_log.verify_stores({tp: self._table(tp) for tp in tps})
        first = await self._offsets(tps, consumer.earliest_offsets)
        spans = {}
        for tp, start in starts.items():
            end = ends[tp] or 0
            if start > end:
                fail_stop(
                    f"the local store of {tp.topic}[{tp.partition}] holds {start} records of a changelog of {end}: "
                    "the topic was truncated or recreated. "
                    f"Remove {self._table(tp).store_path(tp.partition)} to rebuild the store from the topic.",
                    code=Exit.CONFIG,
                )
            spans[tp] = range(max(start, first[tp] or 0), end)
        async for tp, records in self.app.transport.read(spans):
            hit(Failpoint.RECOVERING, tp.topic)
            self._table(tp).restore(tp, records, records[-1].offset + 1)
            self.restored += len(records)
        for tp, span in spans.items():
            self._table(tp).restore(tp, (), span.stop)  # the last offsets may no longer hold a record
        hit(Failpoint.RECOVERED, "")

    async def _offsets(self, tps: set[TP], request: Callable[..., Awaitable[Mapping[TP, int]]]) -> Mapping[TP, int]:
        """Request offsets of every changelog; wait while one has no leader, since a table is recovered as a whole."""
        while leaderless := sorted(tps - (offsets := await request(*tps)).keys()):
            self.log.warning("recovery waits: %s[%s] has no leader that answers", *leaderless[0])
            await self.sleep(RETRY_S)
            if self.should_stop:
                raise ServiceStopped
        return offsets

    async def _begin(self, generation: int, rebalances: int) -> None:
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        await consumer.perform_seek()
        if app.consumer_generation_id != generation or app.rebalancing_count != rebalances or app.should_stop:
            return  # the next assignment has its own recovery
        # No await from here until the flow is resumed: a rebalance must find it either stopped or fully resumed.
        consumer.resume_partitions({tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)})
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        await app._fetcher.maybe_start()
        self.log.info(
            "Worker ready: %s partitions, %s records read for the tables", len(self.active_tps), self.restored
        )

    def _table(self, tp: TP) -> Restorable:
        return cast(Restorable, self.tables._changelogs[tp.topic])

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Not used: see ``_restore``."""

    @Service.task
    async def _publish_stats(self) -> None:
        """Not used: the consumer's watchdog watches ``restored``."""

    def flush_buffers(self) -> None:
        """Not used: nothing is buffered."""


class BatchTableManager(TableManager):
    """Recovers the tables of an app by range reads."""

    @property
    def recovery(self) -> RangeRecovery:
        """The recovery service, created on first use."""
        if self._recovery is None:
            self._recovery = RangeRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(RangeRecovery, self._recovery)

    async def on_start(self) -> None:
        """Start without Faust's delay of one second: every table is declared before the app starts."""
        await self._update_channels()
        await self.recovery.start()

    def persist_offset_on_commit(self, *args: Any) -> None:
        """Not supported: changelog offsets are written together with their rows."""
        raise NotImplementedError
