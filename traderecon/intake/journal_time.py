"""The time that intake tells the journal: the log's clock, read, checked and reported.

    producer's readings, wall clock, resets by a person  ->  LogClock  ->  newest_ms, log_time, epoch

Matching knows nothing of it: what is believed is decided before it is written, so a replay decides the same.
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
"""So many of the last records of each journal partition are asked what time it was, and in which epoch."""
WIDER = 10
"""So many times as many are asked where none of them says the epoch."""
READ_S = 0.05
RESETS_S = 2.0
"""How often the topic of actions is asked for a reset."""
WALL = "this machine"

STORE_MS = 10_000
"""How often what is believed is written down."""


class _Stored(msgspec.Struct, frozen=True):
    """How far the log's time is ahead of the boot-time clock of this start of the machine, and in which epoch."""

    boot_id: str
    offset_ms: int
    epoch: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode

logger = logging.getLogger(__name__)


class LogTime(NamedTuple):
    """What is believed of the log's time while records are read, in nanoseconds since 1970."""

    now_ns: int
    limit_ns: int
    """No record was received later."""

    def received_ns(self, record: Record) -> int:
        """When the log took a record: the time that the log gave it; now, where its producer gave it one.

        A producer may give any time. One of long ago would end the grace as soon as the watermark moves.
        """
        if record.timestamp_type != LOG_APPEND_TIME:
            return self.now_ns
        return min(received_ns(record.timestamp), self.limit_ns)


class JournalTime:
    """The log's clock of one worker.

    ``step_ms``: how far a clock may be ahead of what has passed. ``votes``: whether the wall clock of this machine is
    another clock than the broker's, and has a vote on a step. ``state_file``: where it keeps what it believes, for the
    next start before the machine is started again.
    """

    def __init__(self, stage: Stage, *, step_ms: int, votes: bool, state_file: Path | None = None) -> None:
        self._app: Any = stage.app
        self._stage, self._votes = stage, votes
        self._clock = LogClock(step_ms)
        self._step_ms = step_ms
        self._begun, self._beginning = False, asyncio.Lock()
        self._decided: WatermarkReset | None = None
        self._resets = TP(stage.topics.actions, partition_for(RESET_KEY, stage.partitions))
        self._resets_read: int | None = None
        self._asked_boot_ms = 0
        self._state_file, self._stored_boot_ms = state_file, 0
        self.epoch = 0

    @property
    def newest_ms(self) -> int:
        """The newest time that is believed, a time the log gave before now; 0 where it has given none."""
        newest_ms = self._clock.newest_ms
        return newest_ms + int(self._app.producer.log_ahead_ms) if newest_ms else 0

    async def log_time(self) -> LogTime | None:
        """The log's time; waits until a clock is believed.

        None if the worker stops or loses its partitions meanwhile: its timers have stopped, so no clock may ever be
        read. The caller gives its batch back, and the next owner reads it again.
        """
        while not self._clock.settled:
            if not self._app.flow_control.is_active():
                return None
            with suppress(*self._app.consumer.transient_errors, Unanswered):
                await self._begin_while_flowing()
            self.look()
            if not self._clock.settled:
                await asyncio.sleep(READ_S)
        boot_ms, ahead_ms = clock.boot_ms(), int(self._app.producer.log_ahead_ms)
        now_ms, limit_ms = self._clock.now_ms(boot_ms), self._clock.limit_ms(boot_ms)
        return LogTime((now_ms + ahead_ms) * NS_PER_MS, (limit_ms + ahead_ms) * NS_PER_MS)

    async def _begin_while_flowing(self) -> None:
        """``begin``, cut short by a stop or a rebalance: a log that does not answer must not hold either up."""
        begins = asyncio.ensure_future(self.begin())
        try:
            while not begins.done() and self._app.flow_control.is_active():
                await asyncio.wait({begins}, timeout=READ_S)
            if begins.done():
                await begins
        finally:
            begins.cancel()

    async def begin(self) -> None:
        """Ask the journal, and the wall clock, what time has passed for sure. A second time nothing happens."""
        async with self._beginning:
            if self._begun:
                return
            await self.read_resets()
            epoch, newest_ns = latest(await self._tails())
            self.epoch = max(self.epoch, epoch)  # the topic of decisions may have lost its records, or be another one
            self._clock.begin(self._known_ms(epoch, newest_ns), clock.boot_ms())
            self._begun = True

    def _known_ms(self, epoch: int, newest_ns: int) -> int | None:
        """A time that has passed for sure, by the journal's ``epoch`` and the newest time it tells of there.

        What this worker believed last is the closest, unless more was decided or believed while it was not running.
        None where the journal tells no time yet: nobody waits, and this machine's clock may be the one that is wrong.
        """
        if not newest_ns:
            return None
        ahead_ms = int(self._app.producer.log_ahead_ms)
        journal_ms, wall_ms, decided = newest_ns // NS_PER_MS - ahead_ms, clock.now_ms(), self._decided
        untold = decided is not None and decided.epoch > epoch
        stored_ms = self._stored_ms()
        if stored_ms is not None and (untold or journal_ms <= stored_ms + self._step_ms):
            return stored_ms
        if decided is not None and untold:  # the journal's times are from before the decision
            passed_ms = max(0, wall_ms - int(datetime.fromisoformat(decided.at).timestamp() * 1000))
            return max(wall_ms, decided.at_ms - ahead_ms + passed_ms)
        return max(journal_ms, wall_ms)

    def look(self) -> None:
        """Read every clock."""
        if not self._begun:
            return
        boot_ms = clock.boot_ms()
        if self._votes:
            self._clock.observe(WALL, Reading(clock.now_ms(), boot_ms, boot_ms), witness=True)
        for name, reading in self._app.producer.log_times.items():
            self._clock.observe(name, Reading(*reading))

    def report(self) -> None:
        """Say which clocks are not believed."""
        ahead, behind_ms = self._clock.ahead(clock.boot_ms()), self._clock.behind_ms(clock.boot_ms())
        self._stage.metrics.watermark_ahead.set(max(ahead.values(), default=0) / 1000)
        incidents = self._app.incidents
        waits = "" if self._clock.settled else " Nothing is read until it is."
        sentences = {
            name: f"the clock of {name} is {ms / 1000:,.0f} s ahead of the time that has passed, and is not believed."
            f"{waits} Set the clocks right (NTP). If it is right, decide so: `traderecon watermark reset --reason ...`."
            for name, ms in ahead.items()
        }
        incidents.report(Kind.CLOCK_AHEAD, sentences)
        behind = f"the log's time is {behind_ms / 1000:,.0f} s behind what the journal has been told: no grace ends "
        how = "until it has caught up. To go back, decide so: `traderecon watermark reset --reason ...`."
        incidents.report(Kind.CLOCK_BEHIND, {"the log's time": behind + how} if behind_ms else {})
        if self._begun and not self._clock.settled and sentences:
            self._app.holds.put(HOLD, " ".join(sentences.values()))
        else:
            self._app.holds.lift(HOLD)
        if self._clock.settled:
            self._store()

    async def read_resets(self) -> bool:
        """Take in what people have decided since the last time; True where it is another epoch now."""
        if self._resets_read is not None and clock.boot_ms() - self._asked_boot_ms < RESETS_S * 1000:
            return False
        consumer = self._app.consumer
        self._asked_boot_ms = clock.boot_ms()
        end = (await consumer.readable_ends(self._resets)).get(self._resets)
        if end is None:
            if self._resets_read is None:
                raise Unanswered(f"{self._resets.topic}[{self._resets.partition}] has no leader that answers")
            return False
        if self._resets_read is None:
            self._resets_read = (await consumer.earliest_offsets(self._resets)).get(self._resets, 0)
        before = self.epoch
        async for _, records in self._app.transport.read({self._resets: range(self._resets_read, end)}):
            for record in records:
                reset = decode_reset(record.value or b"")
                if reset is None or reset.epoch <= self.epoch:
                    continue
                self.epoch, self._decided = reset.epoch, reset
                self._stored_boot_ms = 0
                if self._begun:  # one from before says nothing of the time that it is now
                    self._clock.reset(reset.at_ms - int(self._app.producer.log_ahead_ms), clock.boot_ms())
                    logger.warning(
                        "the watermark was reset to %s by %s, epoch %d: %s",
                        iso(reset.at_ms * NS_PER_MS),
                        reset.by,
                        reset.epoch,
                        reset.reason,
                    )
        self._resets_read = end
        return self.epoch != before

    def _stored_ms(self) -> int | None:
        """What time it is by what was believed before and has passed since.

        None after a new start of the machine, or where the time has been decided since.
        """
        if self._state_file is None or not self._state_file.exists():
            return None
        try:
            stored = _decode(self._state_file.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("%s cannot be read, the wall clock counts instead: %s", self._state_file, error)
            return None
        holds = stored.boot_id and stored.boot_id == clock.boot_id() and stored.epoch >= self.epoch
        return stored.offset_ms + clock.boot_ms() if holds else None

    def _store(self) -> None:
        boot_ms = clock.boot_ms()
        if self._state_file is not None and (not self._stored_boot_ms or boot_ms - self._stored_boot_ms > STORE_MS):
            self._stored_boot_ms = boot_ms
            durable.replace(self._state_file, _encode(_Stored(clock.boot_id(), self._clock.offset_ms, self.epoch)))

    async def _tails(self) -> list[Tail]:
        """The last records of each partition of the journal, down to one that says the epoch and one with a time."""
        tps = [TP(self._stage.topics.legs, number) for number in range(self._stage.partitions)]
        ends = await self._app.consumer.readable_ends(*tps)
        if missing := sorted(set(tps) - ends.keys()):
            raise Unanswered(f"{missing[0].topic}[{missing[0].partition}] has no leader that answers")
        first = await self._app.consumer.earliest_offsets(*tps)
        tails = {tp: Tail() for tp in tps}
        asked, count = tails.keys() & ends.keys(), TAIL_RECORDS
        while asked:
            spans = {tp: range(max(first.get(tp, 0), ends[tp] - count), ends[tp]) for tp in asked}
            tails |= {tp: Tail() for tp in asked}
            async for tp, records in self._app.transport.read({tp: span for tp, span in spans.items() if span}):
                for record in records:
                    tails[tp].take_in(record.key, record.value or b"")
            asked = {tp for tp in asked if not tails[tp].says_when and spans[tp].start > first.get(tp, 0)}
            count *= WIDER
        return list(tails.values())


class Unanswered(Exception):
    """The log could not say what it has to before anything may be believed; to be asked again."""
