"""Detects at every start and rejoin, and while running, that a log is no longer the one this app read and wrote.

    marks from commits, tables and recent appends  ->  read back from the log  ->  same records, or exit 78

It compares the last records processed (stored with the commit and beside a table's rows), the last record written to
each partition (stored there too), and topic ids. While running: the ids, and for a partition with a new leader the
recent reads and writes, because only a new leader can have less than the one before. See ``fingerprint``.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from faust.types import TP

from traderecon import clock
from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.fingerprint import (
    Fingerprint,
    LogId,
    Note,
    decode_note,
    encode_note,
    record_error,
    topic_error,
)
from traderecon.transport.log import OffsetOutOfRange
from traderecon.transport.microbatch import Record
from traderecon.transport.progress import PartitionProgress
from traderecon.transport.unreadable import UnreadableBatch

READ_S = 30.0
"""Time limit for reading a few records back; after that they are tried again later."""
SHORT_S = 30.0
"""How long to recheck a log that seems too short: a new leader learns its own end from the other replicas."""
MAX_GAP = 10_000
"""Two marks further apart than this are read separately: reading the offsets between would cost more."""
NOTED = 8
"""Number of processed records noted with a commit."""
READ, WRITTEN, STORED = "read", "written", "read into a local store"


class ExpectedRecord(NamedTuple):
    """A record the log must have: its partition, what was done with it (``READ``, ...), its fingerprint."""

    tp: TP
    action: str
    mark: Fingerprint


class SameLog:
    """Checks the logs of one consumer's app."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._app = consumer, consumer.app
        self._notes: dict[TP, Note] = {}
        self._ids: dict[str, str] = {}
        self._epochs: dict[TP, int] = {}
        """Leader epoch of each partition when it was last compared."""
        self._unanswered: list[ExpectedRecord] = []
        """Records not compared yet because the leader of their partition did not answer."""

    async def read_notes(self, tps: set[TP]) -> None:
        """Read the notes of the group's commits."""
        texts = await self._consumer.commit_notes(tps)
        self._notes = {tp: note for tp, text in texts.items() if (note := decode_note(text)) is not None}

    async def verify(self, tps: set[TP]) -> set[TP]:
        """Before these partitions begin: end the process, 78, if one of the logs has changed.

        Returns the partitions that may begin. One with expected records and no answering leader must wait. Records
        written to other partitions without a leader are compared once they have one.
        """
        expected = [*self._noted(tps), *self._in_tables(tps), *self._written(self._outputs())]
        noted_ids = [(tp, self._notes[tp].log) for tp in sorted(tps & self._notes.keys())]
        for tp in tps & self._notes.keys():
            noted_ids += [(TP(topic, 0), topic_id) for topic, topic_id in self._notes[tp].logs.items()]
        topics = {record.tp.topic for record in expected} | {tp.topic for tp in tps} | {tp.topic for tp, _ in noted_ids}
        log_ids = await self._consumer.log_ids(topics | self._app.writes | self._app.tables.changelog_topics)
        self._require_topics(log_ids, noted_ids)
        self._ids |= {topic: log.topic_id for topic, log in log_ids.items()}
        unanswered = await self._compare(expected)
        self._store_epochs(log_ids, {record.tp for record in unanswered})
        self._unanswered += [record for record in unanswered if record.tp not in tps]
        return tps - {record.tp for record in unanswered}

    async def verify_stores(self, tables: Mapping[TP, Any]) -> None:
        """Before these changelogs are read: end the process, 78, if a local store is not a prefix of its changelog."""
        marks = {tp: table.changelog_mark(tp.partition) for tp, table in tables.items()}
        expected = [ExpectedRecord(tp, STORED, mark) for tp, mark in marks.items() if mark is not None]
        while expected := await self._compare(expected):
            await self._consumer.sleep(self._consumer.watch_interval_s)
            if self._consumer.should_stop:
                return

    async def begin_tables(self, tp: TP) -> None:
        """Write the first row of this partition's changelogs; end the process, 78, if one has lost it.

        Versions that note fingerprints write this row before their first commit. A changelog without it was filled by a
        worker that did not know it had been recreated, and does not cover what came before.
        """
        for table in self._app.tables.values():
            if table.begun(tp.partition):
                continue
            if tp in self._notes and table.next_changelog_offset(tp.partition):
                changelog = table.changelog_topic.get_topic_name()
                fail_stop(
                    f"{changelog}[{tp.partition}] has lost its beginning: it was deleted, or cut by retention, and a "
                    f"worker wrote to it since. Stop all workers, delete the topic {changelog}, run `traderecon topics "
                    "create`, remove the local stores (worker-*/matching in the data directory), and start again: the "
                    "table is rebuilt from the journal.",
                    code=Exit.CONFIG,
                )
            await table.begin(tp.partition, str(clock.now_ns()))

    async def watch(self, readings: Mapping[TP, PartitionProgress]) -> None:
        """While records flow: compare topic ids, and recent reads and writes of partitions with a new leader."""
        log_ids = await self._consumer.log_ids(self._ids.keys())
        self._require_topics(log_ids)
        written = self._app.write_marks.last_marks()
        new_leaders = {tp for tp in (*readings, *written) if self._may_have_new_leader(tp, log_ids)}
        waiting, self._unanswered = self._unanswered, []
        try:
            unanswered = await self._compare(
                [*waiting, *self._read(readings, new_leaders), *self._written(new_leaders)]
            )
        except BaseException:
            self._unanswered += waiting
            raise
        self._store_epochs(log_ids, {record.tp for record in unanswered})
        self._unanswered += [record for record in unanswered if record in waiting]

    def _require_topics(self, log_ids: Mapping[str, LogId], noted_ids: Iterable[tuple[TP, str]] = ()) -> None:
        earlier_ids = ((TP(topic, 0), topic_id) for topic, topic_id in self._ids.items())
        for tp, expected_id in chain(noted_ids, earlier_ids):
            if reason := topic_error(tp, expected_id, log_ids.get(tp.topic, LogId()).topic_id):
                fail_stop(reason, code=Exit.CONFIG)

    def _may_have_new_leader(self, tp: TP, log_ids: Mapping[str, LogId]) -> bool:
        """Whether the leader epoch is unknown, or another than at the last comparison."""
        epoch = log_ids.get(tp.topic, LogId()).epochs.get(tp.partition)
        return epoch is None or epoch != self._epochs.get(tp)

    def _store_epochs(self, log_ids: Mapping[str, LogId], unanswered: Collection[TP]) -> None:
        epochs = {TP(topic, number): epoch for topic, log in log_ids.items() for number, epoch in log.epochs.items()}
        self._epochs |= {tp: epoch for tp, epoch in epochs.items() if tp not in unanswered}

    def note(self, tp: TP, progress: PartitionProgress) -> str:
        """The text to store with a commit of this partition."""
        before = self._notes.get(tp)
        done = tuple(progress.marks)[-NOTED:] or (before.done if before is not None else ())
        written: dict[str, dict[int, Fingerprint]] = defaultdict(dict)
        for output, mark in self._outputs().items():
            written[output.topic][output.partition] = mark
        logs = {topic: self._ids[topic] for topic in written if topic in self._ids}
        changelogs = {
            table.changelog_topic.get_topic_name(): (table.begun(tp.partition), mark)
            for table in self._app.tables.values()
            if (mark := table.changelog_mark(tp.partition)) is not None
        }
        return encode_note(Note(self._ids.get(tp.topic, ""), done, dict(written), logs, changelogs))

    # -- expected records

    def _noted(self, tps: set[TP]) -> Iterable[ExpectedRecord]:
        for tp in tps & self._notes.keys():
            note = self._notes[tp]
            yield from (ExpectedRecord(tp, READ, mark) for mark in note.done)
            for topic, partitions in note.written.items():
                yield from (ExpectedRecord(TP(topic, number), WRITTEN, mark) for number, mark in partitions.items())

    def _in_tables(self, tps: set[TP]) -> Iterable[ExpectedRecord]:
        for table in self._app.tables.values():
            changelog = table.changelog_topic.get_topic_name()
            for tp in tps:
                begun, last = self._notes[tp].changelogs.get(changelog, ("", None)) if tp in self._notes else ("", None)
                if last is not None and begun == table.begun(tp.partition):
                    yield ExpectedRecord(TP(changelog, tp.partition), WRITTEN, last)
                if (mark := table.last(*tp)) is not None:
                    yield ExpectedRecord(tp, READ, mark)
                yield from (
                    ExpectedRecord(output, WRITTEN, mark) for output, mark in table.write_marks(tp.partition).items()
                )

    def _read(self, readings: Mapping[TP, PartitionProgress], tps: Collection[TP]) -> Iterable[ExpectedRecord]:
        return (
            ExpectedRecord(tp, READ, mark) for tp, progress in readings.items() if tp in tps for mark in progress.marks
        )

    def _outputs(self) -> Mapping[TP, Fingerprint]:
        """The last record written to each partition, without changelogs: local stores and commits cover those."""
        changelogs = self._app.tables.changelog_topics
        return {tp: last for tp, last in self._app.write_marks.last_marks().items() if tp.topic not in changelogs}

    def _written(self, tps: Iterable[TP]) -> Iterable[ExpectedRecord]:
        return (ExpectedRecord(tp, WRITTEN, mark) for tp in tps for mark in self._app.write_marks.marks(tp))

    # -- comparison with the log

    async def _compare(self, records: Iterable[ExpectedRecord]) -> list[ExpectedRecord]:
        """End the process, 78, if the log lacks an expected record; return those no leader has answered about."""
        expected: dict[TP, dict[int, ExpectedRecord]] = defaultdict(dict)
        for record in records:
            expected[record.tp].setdefault(record.mark.offset, record)
        if not expected:
            return []
        bounds = await self._bounds({tp: max(by_offset) for tp, by_offset in expected.items()})
        for tp, (low, high) in bounds.items():
            for record in expected[tp].values():
                if reason := record_error(tp, record.action, record.mark, low, high, None):
                    fail_stop(reason, code=Exit.CONFIG)
        available = {tp: {offset for offset in expected[tp] if offset >= low} for tp, (low, _) in bounds.items()}
        try:
            async with asyncio.timeout(READ_S):
                stored = await self._read_back(available)
        except (TimeoutError, OffsetOutOfRange):  # since then a leader has gone, or retention has run
            return [record for by_offset in expected.values() for record in by_offset.values()]
        for (tp, offset), stored_record in stored.items():
            record, (low, high) = expected[tp][offset], bounds[tp]
            if reason := record_error(tp, record.action, record.mark, low, high, stored_record):
                fail_stop(reason, code=Exit.CONFIG)
        return [record for tp, by_offset in expected.items() if tp not in bounds for record in by_offset.values()]

    async def _bounds(self, last_offsets: Mapping[TP, int]) -> Mapping[TP, tuple[int, int]]:
        """The bounds of each log whose leader answers; for ``SHORT_S`` wait for one that seems too short."""
        waited_s = 0.0
        while True:
            bounds: Mapping[TP, tuple[int, int]] = await self._consumer.bounds(set(last_offsets))
            if waited_s >= SHORT_S or all(last_offsets[tp] < high for tp, (_, high) in bounds.items()):
                return bounds
            await self._consumer.sleep(self._consumer.watch_interval_s)
            waited_s += self._consumer.watch_interval_s

    async def _read_back(self, offsets: Mapping[TP, Collection[int]]) -> dict[tuple[TP, int], Record]:
        """The records at these offsets; those no longer in the log are absent."""
        stored: dict[tuple[TP, int], Record] = {}
        remaining = {tp: [*_runs(sorted(numbers))] for tp, numbers in offsets.items() if numbers}
        while remaining:
            spans = {tp: runs.pop(0) for tp, runs in remaining.items()}
            remaining = {tp: runs for tp, runs in remaining.items() if runs}
            async for tp, records in self._app.transport.read(spans, refuse_unreadable=False):
                # Skip unreadable batches: whether one can be read depends on settings and installed codecs too.
                readable = (record for record in records if type(record) is not UnreadableBatch)
                stored |= {(tp, record.offset): record for record in readable if record.offset in offsets[tp]}
        return stored


def _runs(offsets: list[int]) -> Iterable[range]:
    """Ranges that cover these ascending offsets, split at gaps wider than ``MAX_GAP``.

    >>> list(_runs([3, 5, 20_000]))
    [range(3, 6), range(20000, 20001)]
    """
    first = last = offsets[0]
    for offset in offsets[1:]:
        if offset - last > MAX_GAP:
            yield range(first, last + 1)
            first = offset
        last = offset
    yield range(first, last + 1)
