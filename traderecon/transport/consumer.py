"""The consumer shared by both drivers: delivers micro-batches and never commits past unfinished records.

    fetch -> check for gaps -> one event per partition and fetch -> agent -> ack -> settle -> commit

It replaces Faust's delivery per record and offset bookkeeping, and keeps its conductor, channels, agents, assignor and
rebalance protocol. Rules and reasons: docs/transport.md.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, ClassVar

from faust.events import Event
from faust.transport.consumer import ensure_TP
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage
from mode import Service
from mode.utils.futures import notify

from traderecon.exit_codes import Exit
from traderecon.transport.assigned import AssignedPartitions
from traderecon.transport.driver import Driver
from traderecon.transport.ends import Ends
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.fixed_counts import FixedCounts, counts_error
from traderecon.transport.microbatch import MicroBatch
from traderecon.transport.progress import Fetch, PartitionProgress
from traderecon.transport.same_log import SameLog
from traderecon.transport.stalls import Stalls
from traderecon.transport.starts import out_of_range
from traderecon.transport.unreadable import UnreadableBatch

FETCH_S = 0.5
"""An empty fetch returns after this long, so that a stop is noticed."""
ROOM_S = 0.002
"""Interval between checks of a full queue. ``queue.put`` cannot be used: Faust clears queues by cancelling waiters."""
METADATA_S = 5.0
"""How long to wait for an unknown topic to appear."""
IDLE_S = 0.02
"""Interval between checks for partitions when none are assigned."""
PAUSED_S = 0.1
"""Interval between checks whether the app is still paused."""


class BatchConsumer(Driver):
    """A Faust consumer: delivers each fetch of a partition as one event, and commits what the agents have finished.

    A subclass for each log implements ``Driver`` and Faust's ``_seek``, ``earliest_offsets``, ``highwaters``,
    ``assignment`` and ``subscribe``. Their answers leave out partitions whose leader does not answer.
    """

    transient_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """Raised by a subclass while its log does not answer; the call is retried."""
    app: Any  # a StreamApp; Faust's interfaces leave out the internals used here
    watch_interval_s: ClassVar[float] = 5.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partitions = AssignedPartitions(self)
        self._to_reread: dict[TP, PartitionProgress] = {}
        self._ends = Ends(self)
        self._fixed: set[str] = {*self.app.writes, *self.app.fixed}
        self._fixed_counts = FixedCounts(self.app.conf.id)
        self.same_log = SameLog(self)
        self._stall_s: float = self.app.conf.stream_processing_timeout

    # -- assignment

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group; end the process if topics are missing or unsuitable (78) or the log does not answer (4)."""
        try:
            await self._preflight(set(topics))
        except self.transient_errors as error:
            fail_stop(f"no answer about the topics: {error}", code=Exit.UNREACHABLE)
        await super().subscribe(topics)  # type: ignore[safe-super]  # implemented by the driver

    async def _preflight(self, topics: set[str]) -> None:
        topics |= self.app.writes
        until = monotonic() + METADATA_S
        while topics - (counts := await self.partition_counts(topics)).keys() and monotonic() < until:
            await self.sleep(IDLE_S)  # a new topic is not known to every broker at once
        broker = ", ".join(map(str, self.transport.url))
        if reason := counts_error(topics, counts, self.app.tables.changelog_topics, broker):
            fail_stop(reason, code=Exit.CONFIG)
        if self.app.tables:
            self._fixed |= topics
        await self._check_counts()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit work in progress; nothing is delivered from then on until the next seek."""
        hit(Failpoint.REVOKING, "")
        await super().on_partitions_revoked(revoked)
        self._partitions.clear()
        hit(Failpoint.REVOKED, "")

    async def note_committed(self) -> None:
        """Read the group's commits before the ends of the changelogs, so that the changelogs cover what is committed.

        Otherwise a worker suspended during recovery could start past records another worker has processed since, with a
        table that lacks their effects.
        """
        await self._partitions.note_committed(self._inputs())

    def _inputs(self) -> set[TP]:
        return {tp for tp in map(ensure_TP, self.assignment()) if not self._is_changelog_tp(tp)}

    async def perform_seek(self) -> None:
        """Start every input partition at its committed offset, or where ``start_offsets`` says."""
        self._partitions.clear()
        tps = self._inputs()
        if tps:
            await self._check_counts()  # an added partition triggers a rebalance too
            await self._partitions.start(tps)

    async def bounds(self, tps: set[TP]) -> dict[TP, tuple[int, int]]:
        """The first offset and the next offset of the log, for each partition whose leader answers."""
        low, high = await self.earliest_offsets(*tps), await self.highwaters(*tps)
        return {tp: (low[tp] or 0, high[tp] or 0) for tp in low.keys() & high.keys()}

    def readings(self) -> dict[TP, PartitionProgress]:
        """The progress of each input partition of this worker; empty between two assignments."""
        return dict(self._partitions.progress)

    # -- delivery

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        raise NotImplementedError("a driver is read through fetch")

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
                    continue
                if self.app.pauses:
                    await asyncio.sleep(PAUSED_S)
                    continue
                active = self._get_active_partitions()
                while self._to_reread:
                    tp, progress = self._to_reread.popitem()
                    await self._reread(tp, progress)
                fetched = await self.fetch(active, FETCH_S) if active else {}
                for tp, fetch in fetched.items():
                    await self._receive(tp, fetch)
                if not fetched:
                    await asyncio.sleep(0 if active else IDLE_S)
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            if not (isinstance(error, self.consumer_stopped_errors) and self.app.should_stop):
                fail_stop("fetching failed with an unexpected error", error)

    async def _receive(self, tp: TP, fetch: Fetch) -> None:
        progress = self._partitions.progress.get(tp)
        if progress is None or not self.flow_active:
            return  # between two assignments: the seek that follows fetches it again
        if not progress.follows(fetch):
            await self._reread(tp, progress)
            return
        # A fetch that begins with offsets without records: either there are none, or the log lost them.
        starts_empty = not fetch.records or fetch.records[0].offset > fetch.start
        if starts_empty and not (await self._require_offset(tp, fetch.start) and self._is_current(tp, progress)):
            return
        records = progress.undelivered(fetch)
        if records:
            span = range(progress.delivered, fetch.end)
            await self._deliver(tp, progress, MicroBatch(tp.topic, tp.partition, records, span), fetch.end)
        else:
            progress.advance_to(fetch.end)

    async def _deliver(self, tp: TP, progress: PartitionProgress, batch: MicroBatch, end: int) -> None:
        hit(Failpoint.FETCHED, tp.topic)
        queues = [channel.queue for channel in self.app.topics._topic_name_index[tp.topic]]
        while any(queue.full() for queue in queues):
            await asyncio.sleep(ROOM_S)
            if not self._is_current(tp, progress):
                return  # the seek that follows fetches it again
        # No await from here on: a batch is recorded in ``progress`` and in every queue, or nowhere.
        last = batch.records[-1]
        readable = (record for record in reversed(batch.records) if type(record) is not UnreadableBatch)
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            0,
            None,
            None,
            batch,  # type: ignore[arg-type]  # a micro-batch in place of the bytes Faust expects
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )
        message.incref(len(queues))
        progress.deliver(message, end, next(readable, None))
        for queue in queues:
            queue.put_nowait(Event(self.app, None, batch, None, message))

    def _is_current(self, tp: TP, progress: PartitionProgress) -> bool:
        return self._partitions.progress.get(tp) is progress and self.flow_active

    async def _reread(self, tp: TP, progress: PartitionProgress) -> None:
        """Fetch again from the next offset, after a fetch was dropped or skipped some. Only between two fetches."""
        if await self._require_offset(tp, progress.next_offset) and self._is_current(tp, progress):
            self.log.info("%s[%s]: reading again from offset %s", *tp, progress.next_offset)
            await self._seek(tp, progress.next_offset)

    async def _require_offset(self, tp: TP, offset: int) -> bool:
        """End the process, 78, if ``offset`` is not in the log, which has then lost records.

        False if the log does not answer: the watchdog asks again.
        """
        try:
            bounds = await self.bounds({tp})
        except self.transient_errors as error:
            self.log.warning("%s[%s]: no answer about offset %s: %r", *tp, offset, error)
            return False
        if tp not in bounds:
            return False
        low, high = bounds[tp]
        if not low <= offset <= high:
            fail_stop(out_of_range(tp, offset, low, high), code=Exit.CONFIG)
        return True

    # -- acknowledgement and commit

    def ack(self, message: Message) -> bool:
        """Mark a message as fully processed by an agent; False if it was already."""
        first = not message.acked
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        hit(Failpoint.DONE, message.topic)
        return first

    def give_back(self, message: Message) -> None:
        """Stop waiting for a message its agent did not process. It stays unacknowledged, so it is read again."""
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit finished offsets once everything sent so far is acknowledged; retry at the next interval."""
        ready = {
            tp: (progress, progress.done)
            for tp, progress in self._partitions.progress.items()
            if progress.settle() > progress.committed and (topics is None or tp in topics or tp.topic in topics)
        }
        if not ready:
            return False
        await self.app.producer.flush()
        assigned = self.assignment()
        offsets = {
            tp: done
            for tp, (progress, done) in ready.items()
            if self._partitions.progress.get(tp) is progress and tp in assigned
        }
        if not offsets:
            return False
        hit(Failpoint.COMMITTING, self.app.conf.id)
        try:
            await self.commit_noted(offsets, {tp: self.same_log.note(tp, ready[tp][0]) for tp in offsets})
        except self.transient_errors as error:
            self.log.warning("commit failed, will be retried: %r", error)
            return False
        hit(Failpoint.COMMITTED, self.app.conf.id)
        for tp, done in offsets.items():
            ready[tp][0].committed = done
        self._committed_offset.update(offsets)
        self.app.monitor.on_tp_commit(offsets)
        return True

    # -- the watchdog

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's detector, which only logs, replaced by ``_watch``."""

    @Service.task
    async def _watch(self) -> None:
        """Look after what no event drives, at every interval.

        End the process: when a lagging partition or a rebalance makes no progress while the log answers, or the log is
        silent for long (70); when a topic got more partitions, or is another one (78). Open and close incidents. Start
        partitions whose leader is back. Have those read again whose fetch may have been dropped.
        """
        stall_s = self._stall_s
        stalls = Stalls(monotonic(), stall_s, stall_s + self.app.conf.broker_rebalance_timeout)
        while not self.should_stop:
            await self.sleep(self.watch_interval_s)
            watched = dict(self._partitions.progress)
            asked = watched.keys() | self._partitions.waits_for
            answer = await self._ends.ask(asked)
            now_s = monotonic()
            if answer is None:
                _fail_stop_if(stalls.note_silence(now_s))
                continue
            stalls.note_answer(now_s)
            self._ends.report(self.app.incidents, asked, answer, now_s)
            await self._check_counts()
            with suppress(*self.transient_errors):
                await self._partitions.start_late()
            with suppress(*self.transient_errors):
                await self.same_log.watch(watched)
            if self.app.pauses:
                stalls.note_pause(now_s)
                continue
            restored = self.app.tables.recovery.restored
            _fail_stop_if(stalls.note_recovery(now_s, restored, rebalancing=self.app.rebalancing))
            for stall in stalls.find(now_s, watched, answer.readable):
                _fail_stop_if(stall.reason)
                self._to_reread[stall.tp] = stall.progress

    async def _check_counts(self) -> None:
        """End the process, 78, if a topic with a fixed number of partitions got more: its keys have moved."""
        try:
            counts = await self.partition_counts(self._fixed | self.app.tables.changelog_topics)
        except self.transient_errors:
            return
        if reason := self._fixed_counts.change(counts):
            fail_stop(reason, code=Exit.CONFIG)


def _fail_stop_if(reason: str | None) -> None:
    if reason is not None:
        fail_stop(reason)
