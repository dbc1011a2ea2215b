"""The time that intake writes to the journal: reads the log's clocks, checks them, reports those that are wrong.

    producer's readings, wall clock, watermark resets  ->  LogClock  ->  newest_ms, log_time, epoch

Whether a clock is believed is decided before its time is written, so matching decides the same in a replay.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from faust.types import TP

from traderecon import clock, durable
from traderecon.intake.journal_tail import Tail, latest
from traderecon.intake.log_clock import LogClock, Reading
from traderecon.records.action import RESET_KEY, WatermarkReset, decode_reset
from traderecon.records.instants import NS_PER_MS, iso, received_ns
from traderecon.stage import Stage
from traderecon.transport import LOG_APPEND_TIME, Record, partition_for
from traderecon.transport.incidents import Kind

HOLD = "clock"
TAIL_RECORDS = 200
"""How many of the last records of each journal partition are read for its time and epoch."""
WIDER = 10
"""If they have no epoch, this many times as many are read."""
POLL_S = 0.05
RESETS_S = 2.0
"""How often the topic of actions is checked for a reset."""
WALL = "this machine"

STORE_MS = 10_000
"""How often the believed time is stored."""


class _Stored(msgspec.Struct, frozen=True):
    """The log's time less the boot-time clock, valid for one boot of the machine, and its epoch."""

    boot_id: str
    offset_ms: int
    epoch: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode

logger = logging.getLogger(__name__)


class LogTime(NamedTuple):
    """The believed log time while records are read, in nanoseconds since 1970."""

    now_ns: int
    limit_ns: int
    """A record's own time is capped here."""

    def received_ns(self, record: Record) -> int:
        """When the log received a record: the time the log gave it, or now if its producer gave it one.

        A producer may give any time; one from long ago would end the grace as soon as the watermark moves.
        """
        if record.timestamp_type != LOG_APPEND_TIME:
            return self.now_ns
        return min(received_ns(record.timestamp), self.limit_ns)


class JournalTime:
    """The log's clock as one worker believes it.

    ``step_ms``: how far a clock may be ahead of elapsed time. ``votes``: whether the wall clock of this machine is
    independent of the broker's, and so has a vote on a step. ``state_file``: where the believed time is stored; it is
    valid until the machine is booted again.
    """

    def __init__(self, stage: Stage, *, step_ms: int, votes: bool, state_file: Path | None = None) -> None:
        self._app: Any = stage.app
        self._stage, self._votes = stage, votes
        self._clock = LogClock(step_ms)
        self._step_ms = step_ms
        self._begun, self._begin_lock = False, asyncio.Lock()
        self._last_reset: WatermarkReset | None = None
        self._resets_tp = TP(stage.topics.actions, partition_for(RESET_KEY, stage.partitions))
        self._resets_offset: int | None = None
        self._resets_checked_boot_ms = 0
        self._state_file, self._stored_boot_ms = state_file, 0
        self.epoch = 0

    @property
    def newest_ms(self) -> int:
        """The newest believed time that the log has given; 0 if there is none."""
        newest_ms = self._clock.newest_ms
        return newest_ms + int(self._app.producer.log_ahead_ms) if newest_ms else 0

    async def log_time(self) -> LogTime | None:
        """The log's time; waits until a clock is believed.

        None if the worker stops or loses its partitions meanwhile: its timers have stopped, so no clock may ever be
        read. The caller must give its batch back for the next owner to read again.
        """
        while not self._clock.settled:
            if not self._app.flow_control.is_active():
                return None
            with suppress(*self._app.consumer.transient_errors, LeaderMissing):
                await self._begin_while_flowing()
            self.read_clocks()
            if not self._clock.settled:
                await asyncio.sleep(POLL_S)
        boot_ms, ahead_ms = clock.boot_ms(), int(self._app.producer.log_ahead_ms)
        now_ms, limit_ms = self._clock.now_ms(boot_ms), self._clock.limit_ms(boot_ms)
        return LogTime((now_ms + ahead_ms) * NS_PER_MS, (limit_ms + ahead_ms) * NS_PER_MS)

    async def _begin_while_flowing(self) -> None:
        """``begin``, cancelled by a stop or a rebalance: a log that does not answer must not delay either."""
        beginning = asyncio.ensure_future(self.begin())
        try:
            while not beginning.done() and self._app.flow_control.is_active():
                await asyncio.wait({beginning}, timeout=POLL_S)
            if beginning.done():
                await beginning
        finally:
            beginning.cancel()

    async def begin(self) -> None:
        """Start the clock from a time that has certainly passed. Later calls do nothing."""
        async with self._begin_lock:
            if self._begun:
                return
            await self.read_resets()
            epoch, newest_ns = latest(await self._tails())
            self.epoch = max(self.epoch, epoch)  # the topic of actions may have lost records, or have been recreated
            self._clock.begin(self._passed_ms(epoch, newest_ns), clock.boot_ms())
            self._begun = True

    def _passed_ms(self, epoch: int, newest_ns: int) -> int | None:
        """A time that has certainly passed, given the journal's ``epoch`` and the newest time in it.

        The closest is the time this worker stored last, unless there was a reset or a later time in the journal while
        it was down. None if the journal has no time yet: no trade waits, and this machine's clock may be wrong.
        """
        if not newest_ns:
            return None
        ahead_ms = int(self._app.producer.log_ahead_ms)
        journal_ms, wall_ms, reset = newest_ns // NS_PER_MS - ahead_ms, clock.now_ms(), self._last_reset
        reset_is_newer = reset is not None and reset.epoch > epoch
        stored_ms = self._stored_ms()
        if stored_ms is not None and (reset_is_newer or journal_ms <= stored_ms + self._step_ms):
            return stored_ms
        if reset is not None and reset_is_newer:  # the journal's times are from before the reset
            elapsed_ms = max(0, wall_ms - int(datetime.fromisoformat(reset.at).timestamp() * 1000))
            return max(wall_ms, reset.at_ms - ahead_ms + elapsed_ms)
        return max(journal_ms, wall_ms)

    def read_clocks(self) -> None:
        """Read every clock."""
        if not self._begun:
            return
        boot_ms = clock.boot_ms()
        if self._votes:
            self._clock.observe(WALL, Reading(clock.now_ms(), boot_ms, boot_ms), witness=True)
        for name, reading in self._app.producer.log_times.items():
            self._clock.observe(name, Reading(*reading))

    def report(self) -> None:
        """Report the clocks that are not believed, and pause intake while none is."""
        boot_ms = clock.boot_ms()
        ahead, behind_ms = self._clock.ahead(boot_ms), self._clock.behind_ms(boot_ms)
        self._stage.metrics.watermark_ahead.set(max(ahead.values(), default=0) / 1000)
        incidents = self._app.incidents
        paused = "" if self._clock.settled else " Intake is paused until a clock is believed."
        ahead_texts = {
            name: f"the clock of {name} is {ms / 1000:,.0f} s ahead of elapsed time and is not believed.{paused} "
            "Correct the clocks (NTP). If this one is right, accept its time: `traderecon watermark reset --reason "
            "...`."
            for name, ms in ahead.items()
        }
        incidents.report(Kind.CLOCK_AHEAD, ahead_texts)
        behind_text = (
            f"the log's time is {behind_ms / 1000:,.0f} s behind the time in the journal: no grace period expires "
            "until it has caught up. To go back at once: `traderecon watermark reset --reason ...`."
        )
        incidents.report(Kind.CLOCK_BEHIND, {"the log's time": behind_text} if behind_ms else {})
        if self._begun and not self._clock.settled and ahead_texts:
            self._app.pauses.pause(HOLD, " ".join(ahead_texts.values()))
        else:
            self._app.pauses.resume(HOLD)
        if self._clock.settled:
            self._store()

    async def read_resets(self) -> bool:
        """Apply the watermark resets since the last call; True if the epoch has changed."""
        if self._resets_offset is not None and clock.boot_ms() - self._resets_checked_boot_ms < RESETS_S * 1000:
            return False
        consumer = self._app.consumer
        self._resets_checked_boot_ms = clock.boot_ms()
        end = (await consumer.readable_ends(self._resets_tp)).get(self._resets_tp)
        if end is None:
            if self._resets_offset is None:
                raise LeaderMissing(f"{self._resets_tp.topic}[{self._resets_tp.partition}] has no leader that answers")
            return False
        if self._resets_offset is None:
            self._resets_offset = (await consumer.earliest_offsets(self._resets_tp)).get(self._resets_tp, 0)
        before = self.epoch
        async for _, records in self._app.transport.read({self._resets_tp: range(self._resets_offset, end)}):
            for record in records:
                reset = decode_reset(record.value or b"")
                if reset is None or reset.epoch <= self.epoch:
                    continue
                self.epoch, self._last_reset = reset.epoch, reset
                self._stored_boot_ms = 0
                if self._begun:  # an earlier reset does not give the current time
                    self._clock.reset(reset.at_ms - int(self._app.producer.log_ahead_ms), clock.boot_ms())
                    logger.warning(
                        "the watermark was reset to %s by %s, epoch %d: %s",
                        iso(reset.at_ms * NS_PER_MS),
                        reset.by,
                        reset.epoch,
                        reset.reason,
                    )
        self._resets_offset = end
        return self.epoch != before

    def _stored_ms(self) -> int | None:
        """The time now, from the stored time and the time elapsed since.

        None if the machine was booted again, or the watermark reset, since it was stored.
        """
        if self._state_file is None or not self._state_file.exists():
            return None
        try:
            stored = _decode(self._state_file.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("cannot read %s, using the wall clock instead: %s", self._state_file, error)
            return None
        valid = stored.boot_id and stored.boot_id == clock.boot_id() and stored.epoch >= self.epoch
        return stored.offset_ms + clock.boot_ms() if valid else None

    def _store(self) -> None:
        boot_ms = clock.boot_ms()
        if self._state_file is not None and (not self._stored_boot_ms or boot_ms - self._stored_boot_ms > STORE_MS):
            self._stored_boot_ms = boot_ms
            durable.replace(self._state_file, _encode(_Stored(clock.boot_id(), self._clock.offset_ms, self.epoch)))

    async def _tails(self) -> list[Tail]:
        """The tail of each journal partition, long enough to have an epoch and a time."""
        tps = [TP(self._stage.topics.legs, number) for number in range(self._stage.partitions)]
        ends = await self._app.consumer.readable_ends(*tps)
        if missing := sorted(set(tps) - ends.keys()):
            raise LeaderMissing(f"{missing[0].topic}[{missing[0].partition}] has no leader that answers")
        first = await self._app.consumer.earliest_offsets(*tps)
        tails = {tp: Tail() for tp in tps}
        pending, count = tails.keys() & ends.keys(), TAIL_RECORDS
        while pending:
            spans = {tp: range(max(first.get(tp, 0), ends[tp] - count), ends[tp]) for tp in pending}
            tails |= {tp: Tail() for tp in pending}
            async for tp, records in self._app.transport.read({tp: span for tp, span in spans.items() if span}):
                for record in records:
                    tails[tp].add(record.key, record.value or b"")
            pending = {tp for tp in pending if not tails[tp].complete and spans[tp].start > first.get(tp, 0)}
            count *= WIDER
        return list(tails.values())


class LeaderMissing(Exception):
    """The log did not give what is needed to start the clock; try again."""
