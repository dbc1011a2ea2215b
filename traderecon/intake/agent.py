"""Intake: one agent per input topic, and the journal's clock.

    record -> decode -> a fact for ``legs``, under its trade's key     or a dead letter
    every offset of a batch -> an account of what it became, when all of that is durable
    a source partition read to its end -> progress, in every partition of ``legs``

It keeps no table: what was forwarded twice is one fact. Time comes from the log: a source partition has got as far as
T when everything it held at T stands in the journal, so no grace ends on a leg that waits unread in a topic.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from faust.types import TP, StreamT

from traderecon.intake.instants import UTC_FORM, Form
from traderecon.intake.journal_time import JournalTime, LogTime, Unanswered
from traderecon.intake.messages import decode
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source
from traderecon.records.account import Account, Disposition, encode_account, runs_of
from traderecon.records.dead_letter import dead_letter, dead_letter_key, failed, killed, unread
from traderecon.records.instants import NS_PER_MS
from traderecon.records.journal import Progress, encode_journal
from traderecon.stage import Stage
from traderecon.transport import MicroBatch, Outgoing, Record, partition_for
from traderecon.transport.progress import Progress as Reading
from traderecon.transport.retry_counts import LIMIT
from traderecon.transport.stream import BatchStream
from traderecon.transport.unreadable import UnreadableBatch, widths_of

MS_PER_S = 1_000
PROGRESS_S = 1.0
"""How often the journal is told how far time has got."""

MOST_UNREAD = 100
"""So many fields that are not ours are named."""

logger = logging.getLogger(__name__)

Rows = dict[tuple[str, int], list[Outgoing]]


def attach(
    stage: Stage,
    forms: Mapping[Source, Form] | None = None,
    *,
    clock_step_s: int = 10,
    wall_votes: bool = False,
    clock_file: Path | None = None,
) -> None:
    """Give the stage's app the three intake agents and the progress.

    ``clock_step_s``: how far a clock of the log may be ahead of what has passed. ``wall_votes``: whether this machine's
    wall clock is another clock than the log's. ``clock_file``: where what is believed is kept over a restart.
    """
    app = stage.app
    time = JournalTime(stage, step_ms=clock_step_s * MS_PER_S, votes=wall_votes, state_file=clock_file)
    for name, source in stage.topics.inputs.items():
        intake = _Intake(stage, source, (forms or {}).get(source, UTC_FORM), time)
        app.agent(app.topic(name, key_type=bytes, value_type=bytes), name=f"intake-{source}")(intake.run)
    progress = _ProgressTeller(stage, time)
    app.timer(interval=PROGRESS_S, name="progress")(progress.tell)
    rests = _RestTeller(stage)
    app.timer(interval=PROGRESS_S, name="rests")(rests.tell)


class _Intake:
    """One input topic: its records, decoded, and sent on."""

    def __init__(self, stage: Stage, source: Source, form: Form, time: JournalTime) -> None:
        self._stage, self._source, self._form, self._time = stage, source, form, time
        self._unread: set[str] = set()

    async def run(self, batches: StreamT[MicroBatch]) -> None:
        """Records of one input topic become facts for the journal, or dead letters."""
        async for batch in batches:
            now = await self._time.log_time()
            if now is None:
                cast(BatchStream, batches).give_back()
                continue
            with self._stage.retry_counts.attempting(batch):
                outbox, rejected = self._sorted(batch, now)
            await asyncio.gather(*(self._stage.app.append(*place, rows) for place, rows in outbox.items()))
            offsets = [record.offset for record in batch]
            others = [(offset, Disposition.REJECTED) for offset in rejected]
            widths = widths_of(batch) if rejected else {}
            runs = runs_of(batch.span.start, batch.span.stop, offsets, others, widths)
            await _tell(self._stage, Account(batch.topic, batch.partition, batch.span.start, runs))
            self._count(batch, rejected)

    def _sorted(self, batch: MicroBatch, now: LogTime) -> tuple[Rows, dict[int, RejectCode]]:
        """Every record of a batch as what it becomes, by topic and partition; and why which offsets are no leg."""
        outbox: Rows = defaultdict(list)
        rejected: dict[int, RejectCode] = {}
        suspect = self._stage.retry_counts.suspects(batch)
        for record in batch:
            origin = Origin(batch.topic, batch.partition, record.offset, now.received_ns(record))
            killer = suspect and self._stage.retry_counts.killer(batch, record)
            try:
                read: Fact | Rejected = killed(origin) if killer else self._read(record, origin)
                topic, row = self._row(record, read)
            except Exception as error:
                if self._stage.retry_counts.another(batch, record) < LIMIT:
                    raise
                read = failed(origin, error)
                topic, row = self._row(record, read)
            outbox[topic, partition_for(row.key or b"", self._stage.partitions)].append(row)
            if isinstance(read, Rejected):
                rejected[record.offset] = read.code
        return outbox, rejected

    def _read(self, record: Record, origin: Origin) -> Fact | Rejected:
        if isinstance(record, UnreadableBatch):
            return unread(origin, record.sentence(origin.topic, origin.partition), too_large=record.too_large)
        return decode(self._source, record.value, origin, self._form)

    def _row(self, record: Record, read: Fact | Rejected) -> tuple[str, Outgoing]:
        """What is sent on of a record, and to which topic."""
        topics = self._stage.topics
        if isinstance(read, Fact):
            self._report_unread(read)
            return topics.legs, Outgoing(read.leg.trade_id.encode(), encode_journal(read))
        if isinstance(record, UnreadableBatch):
            return topics.dead_letters, Outgoing(None, dead_letter(read, None, record.content, whole=False))
        letter = dead_letter(read, record.key, record.value, record.headers)
        return topics.dead_letters, Outgoing(dead_letter_key(record.key), letter)

    def _report_unread(self, fact: Fact) -> None:
        """Name fields that are not ours, each once for a source and worker, and not without end."""
        if not fact.extra or len(self._unread) >= MOST_UNREAD or self._unread.issuperset(fact.extra):
            return
        new = sorted(fact.extra.keys() - self._unread)[: MOST_UNREAD - len(self._unread)]
        self._unread.update(new)
        logger.warning("%s: fields that are not read: %s", self._source, ascii(", ".join(new))[1:-1])

    def _count(self, batch: MicroBatch, rejected: Mapping[int, RejectCode]) -> None:
        self._stage.metrics.consumed.labels(self._source).inc(len(batch))
        self._stage.metrics.last_message.labels(self._source).set(batch.records[-1].timestamp / 1000)
        for code, count in Counter(rejected.values()).items():
            self._stage.metrics.rejected.labels(self._source, code).inc(count)


class _RestTeller:
    """Tells the offsets without a record that no batch has brought along: a transaction may end behind the last one."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._app = stage, stage.app
        self._told: dict[TP, tuple[Reading, int]] = {}

    async def tell(self, *_: object) -> None:
        consumer: Any = self._app.consumer
        readings: dict[TP, Reading] = consumer.readings()
        self._told = {tp: told for tp, told in self._told.items() if readings.get(tp) is told[0]}
        for tp, reading in readings.items():
            told = self._told[tp][1] if tp in self._told else 0
            first, ended = max(reading.delivered, told), reading.next_offset
            # What is delivered is accounted for before it is done.
            if first < ended and reading.settle() == ended:
                await _tell(self._stage, Account(*tp, first, ((Disposition.CONTROL, ended - first),)))
                self._told[tp] = reading, ended


async def _tell(stage: Stage, account: Account) -> None:
    """An account, acknowledged."""
    key = account.key
    place = stage.topics.accounts, partition_for(key, stage.partitions)
    await stage.app.append(*place, [Outgoing(key, encode_account(account))])


class _Mark(NamedTuple):
    """At ``at_ms`` of the log's time, or later, a source partition ended at ``end``."""

    reading: Reading
    at_ms: int
    end: int


class _ProgressTeller:
    """Tells the journal up to when each source partition of this worker stands in it.

    The time of a mark is one the log gave to a record before the partition's end was asked for, and one that is
    believed; no wall clock of ours has a part in it. The end is the high watermark: what a transaction that is still
    open hides is not passed over. The mark is told when everything below that end is acknowledged.
    """

    def __init__(self, stage: Stage, time: JournalTime) -> None:
        self._app: Any = stage.app
        self._time = time
        self._topics, self._partitions = stage.topics, stage.partitions
        self._marks: dict[TP, _Mark] = {}

    async def tell(self, *_: object) -> None:
        consumer = self._app.consumer
        readings: dict[TP, Reading] = consumer.readings()
        if not readings:
            return
        try:
            await self._time.begin()
            if await self._time.read_resets():
                self._marks = {}
                await self._tell([Progress(self._time.newest_ms * NS_PER_MS, {}, {}, self._time.epoch)])
        except (*consumer.transient_errors, Unanswered) as error:
            logger.warning("what time it is for the journal is asked again, the log did not answer: %r", error)
            return
        self._time.look()
        self._time.report()
        at_ms = self._time.newest_ms
        marks = {tp: mark for tp, mark in self._marks.items() if readings.get(tp) is mark.reading}
        reached = {tp: mark.at_ms for tp, mark in marks.items() if mark.reading.settle() >= mark.end}
        if not at_ms:  # nothing has come back yet that would tell the time
            reached = dict.fromkeys(readings, 0)
        unmarked = readings.keys() - (marks.keys() - reached.keys())
        try:
            counts = await consumer.partition_counts(self._topics.inputs)
            ends = await consumer.highwaters(*unmarked) if unmarked else {}
        except consumer.transient_errors as error:
            logger.warning("how far time has got is told later, the log did not answer: %r", error)
            return
        self._marks = {tp: mark for tp, mark in marks.items() if tp not in reached}
        self._marks |= {tp: _Mark(readings[tp], at_ms, end or 0) for tp, end in ends.items()}
        await self._tell(list(_grouped(reached, counts, self._time.epoch)))

    async def _tell(self, progress: Sequence[Progress]) -> None:
        """Progress to every partition of the journal, acknowledged."""
        rows = [Outgoing(None, encode_journal(one)) for one in progress]
        if rows:
            legs = self._topics.legs
            await asyncio.gather(*(self._app.append(legs, number, rows) for number in range(self._partitions)))


def _grouped(reached: Mapping[TP, int], counts: Mapping[str, int], epoch: int) -> Iterator[Progress]:
    """One progress per time, the earliest first."""
    for at_ms in sorted(set(reached.values())):
        topics: dict[str, list[int]] = defaultdict(list)
        for tp, when_ms in sorted(reached.items()):
            if when_ms == at_ms:
                topics[tp.topic].append(tp.partition)
        known = {topic: counts[topic] for topic in topics if topic in counts}
        yield Progress(at_ms * NS_PER_MS, topics, known, epoch)
