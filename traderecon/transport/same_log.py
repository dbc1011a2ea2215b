"""Whether the logs of an app are still the ones it has read and written: at every start and rejoin, and meanwhile.

    what commits and tables have noted, what was written  ->  read back  ->  the same records, or exit 78

Held against the log: the last records done (with the commit, beside a table's rows), the last one written to each
partition (there as well), the ids of the topics. Meanwhile: the ids, and of a partition that has got another leader
what was done and written in it lately, for only a new leader can have less than the one before. See ``fingerprint``.
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
from traderecon.transport.fingerprint import Fingerprint, LogId, Note, differs, note_of, note_text, other_topic
from traderecon.transport.log import OffsetOutOfRange
from traderecon.transport.microbatch import Record
from traderecon.transport.progress import Progress
from traderecon.transport.unreadable import UnreadableBatch

READ_S = 30.0
"""How long a few records are waited for; then they are asked for again, later."""
SHORT_S = 30.0
"""How long a log that seems shorter than it was is asked again: a new leader learns its own end from the others."""
APART = 10_000
"""Offsets between two marks from which on reading what lies between costs more than asking twice."""
NOTED = 8
"""Of the records done, so many are noted with a commit."""
READ, WRITTEN, STORED = "read", "written", "read into a local store"


class Expected(NamedTuple):
    """A record that was there: where, what was done with it, and its fingerprint."""

    tp: TP
    deed: str
    was: Fingerprint


class SameLog:
    """What one consumer's app knows of the logs it works on."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._app = consumer, consumer.app
        self._notes: dict[TP, Note] = {}
        self._ids: dict[str, str] = {}
        self._epochs: dict[TP, int] = {}
        """Of each partition that was compared, the leader's epoch by then."""
        self._unanswered: list[Expected] = []
        """What could not be compared, for the leader of its partition did not answer."""

    async def ask(self, tps: set[TP]) -> None:
        """Ask what was noted with the group's commits."""
        found = await self._consumer.commit_notes(tps)
        self._notes = {tp: note for tp, text in found.items() if (note := note_of(text)) is not None}

    async def prove(self, tps: set[TP]) -> set[TP]:
        """Before these partitions begin: end the process, 78, where one of the logs is not what it was.

        Gives those that may begin: one of which something is expected, and whose leader does not answer, waits. What
        was written to another one without a leader is compared as soon as it has one.
        """
        expected = [*self._noted(tps), *self._in_tables(tps), *self._written(self._outputs())]
        ids = [(tp, self._notes[tp].log) for tp in sorted(tps & self._notes.keys())]
        for tp in tps & self._notes.keys():
            ids += [(TP(topic, 0), was) for topic, was in self._notes[tp].logs.items()]
        topics = {one.tp.topic for one in expected} | {tp.topic for tp in tps} | {tp.topic for tp, _ in ids}
        found = await self._consumer.log_ids(topics | self._app.writes | self._app.tables.changelog_topics)
        self._require_topics(found, ids)
        self._ids |= {topic: log.topic_id for topic, log in found.items()}
        unanswered = await self._compare(expected)
        self._compared(found, {one.tp for one in unanswered})
        self._unanswered += [one for one in unanswered if one.tp not in tps]
        return tps - {one.tp for one in unanswered}

    async def prove_stores(self, tables: Mapping[TP, Any]) -> None:
        """Before these changelogs are read: 78 where one is not the one that its local store is a prefix of."""
        marks = {tp: table.changelog_mark(tp.partition) for tp, table in tables.items()}
        expected = [Expected(tp, STORED, mark) for tp, mark in marks.items() if mark is not None]
        while expected := await self._compare(expected):
            await self._consumer.sleep(self._consumer.watch_interval_s)
            if self._consumer.should_stop:
                return

    async def begin_tables(self, tp: TP) -> None:
        """Have the changelogs of this partition begin; 78 where one has lost its beginning.

        A version that takes notes has begun its changelog before it committed: without that row, what is in it was
        written by who did not know that it had been made anew, and says nothing of what came before.
        """
        for table in self._app.tables.values():
            if table.begun(tp.partition):
                continue
            if self.noted(tp) and table.next_changelog_offset(tp.partition):
                changelog = table.changelog_topic.get_topic_name()
                fail_stop(
                    f"{changelog}[{tp.partition}] has lost its beginning: it was deleted, or cut by retention, and a "
                    f"worker wrote to it since. Stop all workers, delete the topic {changelog}, run `traderecon topics "
                    "create`, remove the local stores (worker-*/matching in the data directory), and start again: the "
                    "table is rebuilt from the journal.",
                    code=Exit.CONFIG,
                )
            await table.begin(tp.partition, str(clock.now_ns()))

    async def watch(self, readings: Mapping[TP, Progress]) -> None:
        """While records flow: the ids, and what was done and written lately where there is another leader."""
        found = await self._consumer.log_ids(self._ids.keys())
        self._require_topics(found)
        led_anew = {tp for tp in (*readings, *self._app.written.lasts()) if self._is_led_anew(tp, found)}
        waiting, self._unanswered = self._unanswered, []
        try:
            unanswered = await self._compare([*waiting, *self._done(readings, led_anew), *self._written(led_anew)])
        except BaseException:
            self._unanswered += waiting
            raise
        self._compared(found, {one.tp for one in unanswered})
        self._unanswered += [one for one in unanswered if one in waiting]

    def _require_topics(self, found: Mapping[str, LogId], noted: Iterable[tuple[TP, str]] = ()) -> None:
        for tp, was in chain(noted, ((TP(topic, 0), was) for topic, was in self._ids.items())):
            if said := other_topic(tp, was, found.get(tp.topic, LogId()).topic_id):
                fail_stop(said, code=Exit.CONFIG)

    def _is_led_anew(self, tp: TP, found: Mapping[str, LogId]) -> bool:
        """Whether its leader is, or may be, another than when it was compared."""
        epoch = found.get(tp.topic, LogId()).epochs.get(tp.partition)
        return epoch is None or epoch != self._epochs.get(tp)

    def _compared(self, found: Mapping[str, LogId], without: Collection[TP]) -> None:
        epochs = {TP(topic, number): epoch for topic, log in found.items() for number, epoch in log.epochs.items()}
        self._epochs |= {tp: epoch for tp, epoch in epochs.items() if tp not in without}

    def note(self, tp: TP, progress: Progress) -> str:
        """What to note with a commit of this partition."""
        before = self._notes.get(tp)
        done = tuple(progress.marks)[-NOTED:] or (before.done if before is not None else ())
        written: dict[str, dict[int, Fingerprint]] = defaultdict(dict)
        for place, last in self._outputs().items():
            written[place.topic][place.partition] = last
        logs = {topic: self._ids[topic] for topic in written if topic in self._ids}
        changelogs = {
            table.changelog_topic.get_topic_name(): (table.begun(tp.partition), mark)
            for table in self._app.tables.values()
            if (mark := table.changelog_mark(tp.partition)) is not None
        }
        return note_text(Note(self._ids.get(tp.topic, ""), done, dict(written), logs, changelogs))

    def noted(self, tp: TP) -> bool:
        """Whether a version that takes notes has committed this partition."""
        return tp in self._notes

    # -- what is expected

    def _noted(self, tps: set[TP]) -> Iterable[Expected]:
        for tp in tps & self._notes.keys():
            note = self._notes[tp]
            yield from (Expected(tp, READ, mark) for mark in note.done)
            for topic, partitions in note.written.items():
                yield from (Expected(TP(topic, number), WRITTEN, mark) for number, mark in partitions.items())

    def _in_tables(self, tps: set[TP]) -> Iterable[Expected]:
        for table in self._app.tables.values():
            changelog = table.changelog_topic.get_topic_name()
            for tp in tps:
                begun, last = self._notes[tp].changelogs.get(changelog, ("", None)) if tp in self._notes else ("", None)
                if last is not None and begun == table.begun(tp.partition):
                    yield Expected(TP(changelog, tp.partition), WRITTEN, last)
                if (mark := table.last(*tp)) is not None:
                    yield Expected(tp, READ, mark)
                yield from (Expected(place, WRITTEN, mark) for place, mark in table.written(tp.partition).items())

    def _done(self, readings: Mapping[TP, Progress], tps: Collection[TP]) -> Iterable[Expected]:
        return (Expected(tp, READ, mark) for tp, progress in readings.items() if tp in tps for mark in progress.marks)

    def _outputs(self) -> Mapping[TP, Fingerprint]:
        """The last record written to each partition; of changelogs local stores and commits know it."""
        changelogs = self._app.tables.changelog_topics
        return {tp: last for tp, last in self._app.written.lasts().items() if tp.topic not in changelogs}

    def _written(self, tps: Iterable[TP]) -> Iterable[Expected]:
        return (Expected(tp, WRITTEN, mark) for tp in tps for mark in self._app.written.marks(tp))

    # -- what is there

    async def _compare(self, expected: Iterable[Expected]) -> list[Expected]:
        """End the process, 78, where the log has not what is expected; gives what no leader has answered about."""
        by_place: dict[TP, dict[int, Expected]] = defaultdict(dict)
        for one in expected:
            by_place[one.tp].setdefault(one.was.offset, one)
        if not by_place:
            return []
        bounds = await self._bounds({tp: max(several) for tp, several in by_place.items()})
        for tp, (low, high) in bounds.items():
            for one in by_place[tp].values():
                if said := differs(tp, one.deed, one.was, low, high, None):
                    fail_stop(said, code=Exit.CONFIG)
        there = {tp: {offset for offset in by_place[tp] if offset >= low} for tp, (low, _) in bounds.items()}
        try:
            async with asyncio.timeout(READ_S):
                found = await self._records(there)
        except (TimeoutError, OffsetOutOfRange):  # a leader has gone, or retention has come, since then
            return [one for several in by_place.values() for one in several.values()]
        for (tp, offset), record in found.items():
            one, (low, high) = by_place[tp][offset], bounds[tp]
            if said := differs(tp, one.deed, one.was, low, high, record):
                fail_stop(said, code=Exit.CONFIG)
        return [one for tp, several in by_place.items() if tp not in bounds for one in several.values()]

    async def _bounds(self, last: Mapping[TP, int]) -> Mapping[TP, tuple[int, int]]:
        """What the logs have, of those whose leader answers; for a while it is hoped that they have these offsets."""
        waited_s = 0.0
        while True:
            bounds: Mapping[TP, tuple[int, int]] = await self._consumer.bounds(set(last))
            if waited_s >= SHORT_S or all(last[tp] < high for tp, (_, high) in bounds.items()):
                return bounds
            await self._consumer.sleep(self._consumer.watch_interval_s)
            waited_s += self._consumer.watch_interval_s

    async def _records(self, wanted: Mapping[TP, Collection[int]]) -> dict[tuple[TP, int], Record]:
        """The records at these offsets; those that are gone are left out."""
        found: dict[tuple[TP, int], Record] = {}
        left = {tp: [*_runs(sorted(offsets))] for tp, offsets in wanted.items() if offsets}
        while left:
            spans = {tp: runs.pop(0) for tp, runs in left.items()}
            left = {tp: runs for tp, runs in left.items() if runs}
            async for tp, records in self._app.transport.read(spans, refuse_unreadable=False):
                # Whether a batch can be read depends on settings and codecs too: such a one says nothing.
                readable = (one for one in records if type(one) is not UnreadableBatch)
                found |= {(tp, one.offset): one for one in readable if one.offset in wanted[tp]}
        return found


def _runs(offsets: list[int]) -> Iterable[range]:
    """Ranges that hold these offsets, which rise, without what lies far between them.

    >>> list(_runs([3, 5, 20_000]))
    [range(3, 6), range(20000, 20001)]
    """
    first = last = offsets[0]
    for offset in offsets[1:]:
        if offset - last > APART:
            yield range(first, last + 1)
            first = offset
        last = offset
    yield range(first, last + 1)
