"""The consumer all our logs share: micro-batches in, acknowledgements in order, commits never past what is done.

    fetch -> nothing left out -> one event per partition and fetch -> agent -> ack -> settle -> commit

It replaces Faust's delivery per record and Faust's offset bookkeeping, and keeps its conductor, channels, agents,
assignor and rebalance protocol. Rules and their reasons: docs/transport.md.
"""

import asyncio
from collections.abc import Iterable, Mapping
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
from traderecon.transport.behind import made_good
from traderecon.transport.driver import Driver
from traderecon.transport.ends import Ends
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.fixed_counts import FixedCounts, unfit
from traderecon.transport.microbatch import MicroBatch
from traderecon.transport.progress import Fetch, Progress
from traderecon.transport.same_log import SameLog
from traderecon.transport.starts import Known, beyond, start
from traderecon.transport.unreadable import UnreadableBatch

FETCH_S = 0.5
"""A fetch that finds nothing comes back after this, so that a stop is noticed."""
ROOM_S = 0.002
"""How soon a full queue is looked at again. Waiting in it is no way: Faust empties it by cancelling who waits."""
OUTAGE_S = 600.0
"""A log that has not answered for so long may be well, and this process not."""
METADATA_S = 5.0
"""How long a topic that nobody knows is asked for."""
IDLE_S = 0.02
"""How soon partitions are looked for when there are none."""
HELD_S = 0.1
"""How soon it is seen that nothing holds the app any more."""


class BatchConsumer(Driver):
    """Delivers ``MicroBatch`` events; a driver class below it gives it a log.

    The driver gives what ``Driver`` names, and of Faust's own ``_seek``, ``earliest_offsets``, ``highwaters``,
    ``assignment``, ``subscribe``; of offsets those whose leader answers.
    """

    transient_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """What a driver raises while its log does not answer; to be tried again."""
    app: Any  # a StreamApp; its parts lean on one another's insides, which Faust's interfaces leave out
    watch_interval_s: ClassVar[float] = 5.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress: dict[TP, Progress] = {}
        self._left_off: Mapping[TP, int] = {}
        self._ask_again: dict[TP, Progress] = {}
        self._no_leader, self._needed = set[TP](), set[TP]()  # not begun; not begun, and to be read before those
        self._ends = Ends(self)
        self._fixed: set[str] = {*self.app.writes, *self.app.fixed}
        self._counts = FixedCounts(self.app.conf.id)
        self.same_log = SameLog(self)
        self._stall_s: float = self.app.conf.stream_processing_timeout

    # -- assignment

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group, when every topic is there and fits the tables; else the process ends: 78, or 4 unanswered."""
        try:
            await self._preflight(set(topics))
        except self.transient_errors as error:
            fail_stop(f"no answer about the topics: {error}", code=Exit.UNREACHABLE)
        await super().subscribe(topics)  # type: ignore[safe-super]  # the driver below has it

    async def _preflight(self, topics: set[str]) -> None:
        topics |= self.app.writes
        until = monotonic() + METADATA_S
        while topics - (counts := await self.partition_counts(topics)).keys() and monotonic() < until:
            await self.sleep(IDLE_S)  # a topic just made is not known everywhere at once
        if said := unfit(topics, counts, self.app.tables.changelog_topics, ", ".join(map(str, self.transport.url))):
            fail_stop(said, code=Exit.CONFIG)
        if self.app.tables:
            self._fixed |= topics
        await self._watch_counts()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what agents are busy with; then nothing is delivered before the next seek."""
        hit(Failpoint.REVOKING, "")
        await super().on_partitions_revoked(revoked)
        self._progress = {}
        hit(Failpoint.REVOKED, "")

    async def note_committed(self) -> None:
        """Ask where the group left off, before any changelog's end is asked for: what is committed by then is in it.

        A worker stopped in its recovery would else begin behind what another has done since, on a table without it.
        """
        self._left_off = await self.committed(self._inputs())
        await self.same_log.ask(self._inputs())

    def _inputs(self) -> set[TP]:
        return {tp for tp in map(ensure_TP, self.assignment()) if not self._is_changelog_tp(tp)}

    async def perform_seek(self) -> None:
        """Begin every input partition where the group, or whoever keeps its offsets, left off.

        Where a table knows less than the group has committed, behind what it knows: what it lost is read again.
        """
        self._progress, self._no_leader, self._needed = {}, set(), set()
        tps = self._inputs()
        if not tps:
            return
        await self._watch_counts()  # what a topic has got more than it had brings an assignment as well
        self._progress = await self._begin(tps)
        self._no_leader = tps - self._progress.keys()

    async def _begin_late(self) -> None:
        """Begin the partitions whose leader did not answer when they were assigned, as soon as it does."""
        waiting = self._no_leader
        begun = await self._begin(set(waiting)) if waiting else {}
        if begun and waiting is self._no_leader:  # else an assignment has come in between
            self._progress |= begun
            self._no_leader = waiting - begun.keys()

    async def _begin(self, tps: set[TP]) -> dict[TP, Progress]:
        """Seek every partition whose leader answers to where it was left off."""
        tps = await self.same_log.prove(tps)
        given = await self.app.start_offsets(tps) if self.app.start_offsets is not None else {}
        known = await self._known(tps, given)
        if any(one.needed > one.high for one in known.values()):
            await self.sleep(self.watch_interval_s)  # a leader just elected may not know its own end yet
            known = await self._known(tps, given)
        progress, needed = {}, set[TP]()
        for tp, one in known.items():
            first = start(tp, one)
            if isinstance(first, str):
                fail_stop(first, code=Exit.CONFIG)
            if self.app.tables and tp not in given:
                await self.same_log.begin_tables(tp)
            if first.behind:
                if missing := await made_good(self.app, tp):
                    needed |= missing
                    continue  # it waits as a partition without a leader does, and the others go on
                text = "%s[%s]: a table knows %s offsets, the group has committed %s: the ones between are read again"
                self.log.warning(text, *tp, first.offset, one.committed)
            await self._seek(tp, first.offset)
            progress[tp] = Progress(first.offset)
        self._needed = needed
        return progress

    async def _known(self, tps: set[TP], given: Mapping[TP, int]) -> dict[TP, Known]:
        """What there is to begin by, of each partition."""
        return {
            tp: Known(
                low,
                high,
                None if tp in given else self._left_off.get(tp),
                given.get(tp),
                self._applied(tp) if self.app.tables else None,
            )
            for tp, (low, high) in (await self.bounds(tps)).items()
        }

    def _applied(self, tp: TP) -> int:
        """The last offset whose effects are in a table; -1 when there is none."""
        return max((table.applied(*tp) for table in self.app.tables.values()), default=-1)

    async def bounds(self, tps: set[TP]) -> dict[TP, tuple[int, int]]:
        """The first offset the log still has and the next it will give, of each partition whose leader answers."""
        low, high = await self.earliest_offsets(*tps), await self.highwaters(*tps)
        return {tp: (low[tp] or 0, high[tp] or 0) for tp in low.keys() & high.keys()}

    def readings(self) -> dict[TP, Progress]:
        """How far each input partition of this worker has come; empty between two assignments."""
        return dict(self._progress)

    # -- delivery

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        raise NotImplementedError("fetch is what drains a driver here")

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
                    continue
                if self.app.holds:
                    await asyncio.sleep(HELD_S)
                    continue
                active = self._get_active_partitions()
                while self._ask_again:
                    await self._reread(*self._ask_again.popitem())
                fetched = await self.fetch(active, FETCH_S) if active else {}
                for tp, fetch in fetched.items():
                    await self._take_in(tp, fetch)
                if not fetched:
                    await asyncio.sleep(0 if active else IDLE_S)
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            if not (isinstance(error, self.consumer_stopped_errors) and self.app.should_stop):
                fail_stop("fetching failed in a way nobody foresaw", error)

    async def _take_in(self, tp: TP, fetch: Fetch) -> None:
        progress = self._progress.get(tp)
        if progress is None or not self.flow_active:
            return  # between two assignments: the seek that follows fetches it again
        if not progress.follows(fetch):
            await self._reread(tp, progress)
            return
        # A fetch that begins with offsets without records: so it is, or the driver was put past what the log lost.
        blank = not fetch.records or fetch.records[0].offset > fetch.begun
        if blank and not (await self._held(tp, fetch.begun) and self._flows(tp, progress)):
            return
        records = progress.fresh(fetch)
        if records:
            span = range(progress.delivered, fetch.ended)
            await self._deliver(tp, progress, MicroBatch(tp.topic, tp.partition, records, span), fetch.ended)
        else:
            progress.pass_over(fetch.ended)

    async def _deliver(self, tp: TP, progress: Progress, batch: MicroBatch, ended: int) -> None:
        hit(Failpoint.FETCHED, tp.topic)
        queues = [channel.queue for channel in self.app.topics._topic_name_index[tp.topic]]
        while any(queue.full() for queue in queues):
            await asyncio.sleep(ROOM_S)
            if not self._flows(tp, progress):
                return  # the seek that follows fetches it again
        # No await from here on: a batch is in every queue and in the books, or in none.
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
            batch,  # type: ignore[arg-type]  # Faust's message carries bytes; ours carries a micro-batch
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )
        message.incref(len(queues))
        progress.deliver(message, ended, next(readable, None))
        for queue in queues:
            queue.put_nowait(Event(self.app, None, batch, None, message))

    def _flows(self, tp: TP, progress: Progress) -> bool:
        return self._progress.get(tp) is progress and self.flow_active

    async def _reread(self, tp: TP, progress: Progress) -> None:
        """A fetch was dropped, or began beyond the next offset: fetch again from there. Between two fetches only."""
        if await self._held(tp, progress.next_offset) and self._flows(tp, progress):
            self.log.info("%s[%s]: reading again from offset %s", *tp, progress.next_offset)
            await self._seek(tp, progress.next_offset)

    async def _held(self, tp: TP, offset: int) -> bool:
        """Whether the log reaches from ``offset`` or below to it; False: no answer, the watchdog asks again.

        A log that does not hold it has lost records, and the process ends.
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
            fail_stop(beyond(tp, offset, low, high), code=Exit.CONFIG)
        return True

    # -- acknowledgement and commit

    def ack(self, message: Message) -> bool:
        """An agent is done with a message, all of it."""
        first = not message.acked
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        hit(Failpoint.DONE, message.topic)
        return first

    def give_back(self, message: Message) -> None:
        """Stop waiting for a message that its agent has not processed. It stays unacknowledged, so it is read again."""
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is done and not yet committed, when everything sent so far has been acknowledged.

        A commit that fails is tried again at the next interval: what is done stays done.
        """
        ready = {
            tp: (progress, progress.done)
            for tp, progress in self._progress.items()
            if progress.settle() > progress.committed and (topics is None or tp in topics or tp.topic in topics)
        }
        if not ready:
            return False
        await self.app.producer.flush()
        assigned = self.assignment()
        offsets = {
            tp: done for tp, (progress, done) in ready.items() if self._progress.get(tp) is progress and tp in assigned
        }
        if not offsets:
            return False
        hit(Failpoint.COMMITTING, self.app.conf.id)
        try:
            await self.commit_noted(offsets, {tp: self.same_log.note(tp, ready[tp][0]) for tp in offsets})
        except self.transient_errors as error:
            self.log.warning("commit refused, tried again later: %r", error)
            return False
        hit(Failpoint.COMMITTED, self.app.conf.id)
        for tp, done in offsets.items():
            ready[tp][0].committed = done
        self._committed_offset.update(offsets)
        self.app.monitor.on_tp_commit(offsets)
        return True

    # -- the watchdog

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's own detector only logs; ours ends the process: see ``_watch``."""

    @Service.task
    async def _watch(self) -> None:
        """Lag and no progress for too long while the log answers: something is stuck, so end, exit 70 (F14)."""
        stands: dict[TP, tuple[Progress, int, int]] = {}
        since: dict[TP, float] = {}
        answered = busy = monotonic()
        restored = -1
        while not self.should_stop:
            await self.sleep(self.watch_interval_s)
            watched = dict(self._progress)
            asked = watched.keys() | self._no_leader | self._needed
            answer = await self._ends.ask(asked)
            now = monotonic()
            if answer is None:
                if now - answered > OUTAGE_S:
                    fail_stop(f"the log has not answered for {now - answered:.0f} s")
                stands, since, busy = {}, {}, now
                continue
            answered, ends = now, answer.readable
            self._ends.report(self.app.incidents, asked, answer, now)
            await self._watch_counts()
            with suppress(*self.transient_errors):
                await self._begin_late()
            with suppress(*self.transient_errors):
                await self.same_log.watch(watched)
            if self.app.holds:  # whoever holds it says so
                stands, since, busy = {}, {}, now
                continue
            if not self.app.rebalancing or self.app.tables.recovery.restored != restored:
                busy, restored = now, self.app.tables.recovery.restored
            elif now - busy > self._stall_s + self.app.conf.broker_rebalance_timeout:
                fail_stop(f"a rebalance has not ended, and no table recovered, for {now - busy:.0f} s; the log answers")
            for tp, progress in watched.items():
                if tp not in ends:  # its leader does not answer, and the others go on
                    stands.pop(tp, None)
                    continue
                stand = (progress, progress.settle(), progress.committed)
                if stands.get(tp) != stand or progress.committed == progress.done == ends[tp]:
                    stands[tp], since[tp] = stand, now
                    continue
                if now - since[tp] > self._stall_s:
                    fail_stop(
                        f"{tp.topic}[{tp.partition}] has stood at {progress.done} of {ends[tp]}, committed "
                        f"{progress.committed}, {progress.open} open, for {now - since[tp]:.0f} s; the log answers"
                    )
                if not progress.open and progress.done != ends[tp] and now - since[tp] > self._stall_s / 4:
                    self._ask_again[tp] = progress  # a fetch may have been dropped

    async def _watch_counts(self) -> None:
        """Where a topic got more partitions that must keep theirs, its keys belong elsewhere now: 78."""
        try:
            counts = await self.partition_counts(self._fixed | self.app.tables.changelog_topics)
        except self.transient_errors:
            return
        if said := self._counts.changed(counts):
            fail_stop(said, code=Exit.CONFIG)
