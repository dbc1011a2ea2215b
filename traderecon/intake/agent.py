"""The intake agents: one per input topic, and the progress of time for the journal.

    record -> decode -> a fact for ``legs``, under its trade's key     or a dead letter
    every offset of a batch -> an account of its disposition, once everything else is acknowledged
    a source partition read to its end -> progress, in every partition of ``legs``

Intake has no table: a record forwarded twice is one fact. Time comes from the log: a source partition has reached T
when everything it held at T is in the journal, so no grace ends while a leg is still unread in a topic.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from faust.types import TP, StreamT

from traderecon.intake.journal_time import JournalTime, LeaderMissing, LogTime
from traderecon.intake.keys import with_other_key
from traderecon.intake.messages import decode
from traderecon.intake.source_settings import STANDARD_SETTINGS, SettingsBySource, SourceSettings
from traderecon.intake.spoken import Spoken, spoken_by
from traderecon.intake.translation import shown_fields
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source
from traderecon.records.account import Account, Disposition, encode_account, runs_of
from traderecon.records.dead_letter import (
    dead_letter_key,
    encode_dead_letter,
    reject_failing,
    reject_poison,
    reject_unreadable,
)
from traderecon.records.instants import NS_PER_MS
from traderecon.records.journal import Progress, encode_journal
from traderecon.stage import Stage
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.progress import PartitionProgress
from traderecon.transport.retry_counts import LIMIT
from traderecon.transport.stream import BatchStream
from traderecon.transport.unreadable import UnreadableBatch, widths_of

MS_PER_S = 1_000
PROGRESS_S = 1.0
"""How often progress is written to the journal."""

MAX_UNKNOWN_NAMES = 100
"""Unknown fields named in the log, per source and worker."""

logger = logging.getLogger(__name__)

Rows = dict[tuple[str, int], list[Outgoing]]


def attach(
    stage: Stage,
    sources: SettingsBySource,
    *,
    clock_step_s: int,
    wall_votes: bool,
    clock_file: Path | None = None,
) -> None:
    """Give the stage's app the three intake agents and the timers that report progress.

    ``sources``: how each source writes its records. ``clock_step_s``: how far a broker's clock may run ahead of elapsed
    time before it is not believed. ``wall_votes``: whether this machine's wall clock is independent of the log's.
    ``clock_file``: where the believed time is stored for a restart.
    """
    app = stage.app
    time = JournalTime(stage, step_ms=clock_step_s * MS_PER_S, votes=wall_votes, state_file=clock_file)
    spoken = Spoken()
    for name, source in stage.topics.inputs.items():
        intake = _Intake(stage, source, sources.get(source, STANDARD_SETTINGS), time, spoken)
        app.agent(app.topic(name, key_type=bytes, value_type=bytes), name=f"intake-{source}")(intake.run)
    app.timer(interval=PROGRESS_S, name="progress")(_ProgressReporter(stage, time, spoken).report)
    app.timer(interval=PROGRESS_S, name="control-records")(_ControlAccounts(stage).report)


class _Intake:
    """Decodes the records of one input topic and sends them on."""

    def __init__(
        self, stage: Stage, source: Source, settings: SourceSettings, time: JournalTime, spoken: Spoken
    ) -> None:
        self._stage, self._source, self._settings, self._time, self._spoken = stage, source, settings, time, spoken
        self._unknown_fields: set[str] = set()
        self._shown_fields = shown_fields(source, settings)

    async def run(self, batches: StreamT[MicroBatch]) -> None:
        """Turn the records of one input topic into facts for the journal, or dead letters."""
        async for batch in batches:
            now = await self._time.log_time()
            if now is None:
                cast(BatchStream, batches).give_back()
                continue
            with self._stage.retry_counts.attempting(batch):
                outbox, rejected, facts = self._route(batch, now)
            await asyncio.gather(*(self._stage.app.append(*tp, rows) for tp, rows in outbox.items()))
            self._spoken.add(spoken_by(facts))  # before the batch is done: the mark beyond it comes later
            offsets = [record.offset for record in batch]
            dispositions = [(offset, Disposition.REJECTED) for offset in rejected]
            widths = widths_of(batch) if rejected else {}
            runs = runs_of(batch.span.start, batch.span.stop, offsets, dispositions, widths)
            await _send_account(self._stage, Account(batch.topic, batch.partition, batch.span.start, runs))
            self._count(batch, rejected)

    def _route(self, batch: MicroBatch, now: LogTime) -> tuple[Rows, dict[int, RejectCode], list[Fact]]:
        """The records to send for a batch, by topic and partition; the code of each rejected offset; the facts."""
        outbox: Rows = defaultdict(list)
        rejected: dict[int, RejectCode] = {}
        facts: list[Fact] = []
        suspect = self._stage.retry_counts.is_suspect(batch)
        for record in batch:
            origin = Origin(batch.topic, batch.partition, record.offset, now.received_ns(record))
            poison = suspect and self._stage.retry_counts.is_poison(batch, record)
            try:
                decoded: Fact | Rejected = reject_poison(origin) if poison else self._decode(record, origin)
                topic, row = self._outgoing(record, decoded)
            except Exception as error:
                if self._stage.retry_counts.count_failure(batch, record) < LIMIT:
                    raise
                decoded = reject_failing(origin, error)
                topic, row = self._outgoing(record, decoded)
            outbox[topic, partition_for(row.key or b"", self._stage.partitions)].append(row)
            if isinstance(decoded, Rejected):
                rejected[record.offset] = decoded.code
            else:
                facts.append(decoded)
        return outbox, rejected, facts

    def _decode(self, record: Record, origin: Origin) -> Fact | Rejected:
        if isinstance(record, UnreadableBatch):
            return reject_unreadable(
                origin, record.describe(origin.topic, origin.partition), too_large=record.too_large
            )
        return decode(self._source, record.value, origin, self._settings)

    def _outgoing(self, record: Record, decoded: Fact | Rejected) -> tuple[str, Outgoing]:
        """The topic for a decoded record, and the record to send there."""
        topics = self._stage.topics
        if isinstance(decoded, Fact):
            self._report_unknown_fields(decoded)
            key = (decoded.leg.sent_id or decoded.leg.trade_id).encode()
            if record.key != key and self._settings.keyed:
                decoded = with_other_key(decoded, record.key)
            return topics.legs, Outgoing(key, encode_journal(decoded))
        if isinstance(record, UnreadableBatch):
            return topics.dead_letters, Outgoing(None, encode_dead_letter(decoded, None, record.content, whole=False))
        value = encode_dead_letter(decoded, record.key, record.value, record.headers)
        return topics.dead_letters, Outgoing(dead_letter_key(record.key), value)

    def _report_unknown_fields(self, fact: Fact) -> None:
        """Log the name of each unknown field once per source and worker, up to a bound."""
        seen = self._unknown_fields
        if not fact.extra or len(seen) >= MAX_UNKNOWN_NAMES or seen.issuperset(fact.extra):
            return
        new = sorted(fact.extra.keys() - seen - self._shown_fields)[: MAX_UNKNOWN_NAMES - len(seen)]
        if not new:
            return
        seen.update(new)
        logger.warning("%s: unknown fields (stored, not checked): %s", self._source, ascii(", ".join(new))[1:-1])

    def _count(self, batch: MicroBatch, rejected: Mapping[int, RejectCode]) -> None:
        self._stage.metrics.consumed.labels(self._source).inc(len(batch))
        self._stage.metrics.last_message.labels(self._source).set(batch.records[-1].timestamp / 1000)
        for code, count in Counter(rejected.values()).items():
            self._stage.metrics.rejected.labels(self._source, code).inc(count)


class _ControlAccounts:
    """Accounts for offsets without a record after the last batch, such as the end of a transaction."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._app = stage, stage.app
        self._accounted: dict[TP, tuple[PartitionProgress, int]] = {}

    async def report(self, *_: object) -> None:
        """Account for the offsets each source partition has settled since its last batch."""
        consumer: Any = self._app.consumer
        readings: dict[TP, PartitionProgress] = consumer.readings()
        self._accounted = {
            tp: (reading, stop) for tp, (reading, stop) in self._accounted.items() if readings.get(tp) is reading
        }
        for tp, reading in readings.items():
            accounted = self._accounted[tp][1] if tp in self._accounted else 0
            first, stop = max(reading.delivered, accounted), reading.next_offset
            # Not before the delivered records are settled: their own account comes first.
            if first < stop and reading.settle() == stop:
                await _send_account(self._stage, Account(*tp, first, ((Disposition.CONTROL, stop - first),)))
                self._accounted[tp] = reading, stop


async def _send_account(stage: Stage, account: Account) -> None:
    """Send an account and wait until it is acknowledged."""
    partition = partition_for(account.key, stage.partitions)
    await stage.app.append(stage.topics.accounts, partition, [Outgoing(account.key, encode_account(account))])


class _Mark(NamedTuple):
    """A source partition ended at offset ``end`` at log time ``at_ms`` or later."""

    reading: PartitionProgress
    at_ms: int
    end: int


class _ProgressReporter:
    """Writes to the journal how far in time each source partition of this worker has been forwarded.

    The time of a mark is a believed time that the log gave to a record before the partition's end was fetched; this
    machine's wall clock plays no part. The end is the high watermark, so records hidden by an open transaction are
    not skipped. A mark is reached when everything below its end is acknowledged.
    """

    def __init__(self, stage: Stage, time: JournalTime, spoken: Spoken) -> None:
        self._app: Any = stage.app
        self._time, self._spoken = time, spoken
        self._topics, self._partitions = stage.topics, stage.partitions
        self._marks: dict[TP, _Mark] = {}

    async def report(self, *_: object) -> None:
        """Send the progress of the marks reached, and set new marks at the current ends."""
        consumer = self._app.consumer
        readings: dict[TP, PartitionProgress] = consumer.readings()
        if not readings:
            return
        try:
            await self._time.begin()
            if await self._time.read_resets():
                self._marks = {}
                self._spoken.clear()  # by the time before the reset
                await self._send([Progress(self._time.newest_ms * NS_PER_MS, {}, {}, self._time.epoch)])
        except (*consumer.transient_errors, LeaderMissing) as error:
            logger.warning("cannot read the log's time, will retry; the log did not answer: %r", error)
            return
        self._time.read_clocks()
        self._time.report()
        at_ms = self._time.newest_ms
        marks = {tp: mark for tp, mark in self._marks.items() if readings.get(tp) is mark.reading}
        reached = {tp: mark.at_ms for tp, mark in marks.items() if mark.reading.settle() >= mark.end}
        if not at_ms:  # the log has not given a time yet
            reached = dict.fromkeys(readings, 0)
        unmarked = readings.keys() - (marks.keys() - reached.keys())
        try:
            counts = await consumer.partition_counts(self._topics.inputs)
            ends = await consumer.highwaters(*unmarked) if unmarked else {}
        except consumer.transient_errors as error:
            logger.warning("cannot report progress, will retry; the log did not answer: %r", error)
            return
        self._marks = {tp: mark for tp, mark in marks.items() if tp not in reached}
        self._marks |= {tp: _Mark(readings[tp], at_ms, end or 0) for tp, end in ends.items()}
        spoken = self._spoken.take(at_ms * NS_PER_MS) if at_ms and reached else {}
        await self._send(list(_grouped(reached, counts, self._time.epoch, spoken)))

    async def _send(self, progress: Sequence[Progress]) -> None:
        """Send progress to every partition of the journal and wait until it is acknowledged."""
        rows = [Outgoing(None, encode_journal(entry)) for entry in progress]
        if rows:
            legs = self._topics.legs
            await asyncio.gather(*(self._app.append(legs, number, rows) for number in range(self._partitions)))


def _grouped(
    reached: Mapping[TP, int], counts: Mapping[str, int], epoch: int, spoken: Mapping[str, int]
) -> Iterator[Progress]:
    """One progress per time, the earliest first; what the sources have spoken is in that one."""
    for at_ms in sorted(set(reached.values())):
        topics: dict[str, list[int]] = defaultdict(list)
        for tp, reached_ms in sorted(reached.items()):
            if reached_ms == at_ms:
                topics[tp.topic].append(tp.partition)
        partitions = {topic: counts[topic] for topic in topics if topic in counts}
        yield Progress(at_ms * NS_PER_MS, topics, partitions, epoch, spoken=spoken)
        spoken = {}
