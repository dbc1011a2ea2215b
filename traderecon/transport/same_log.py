"""Whether the logs of an app are still the ones it has read and written: at every start and rejoin, and meanwhile.

    what commits and tables have noted, what was written  ->  read back  ->  the same records, or exit 78

Three things are held against the log: the last records done (with the commit, beside a table's rows), the last record
written to each partition (there as well), and the ids of the topics. See ``fingerprint``.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from faust.types import TP

from traderecon import clock
from traderecon.transport.fingerprint import Fingerprint, Note, differs, fingerprint, note_of, note_text, other_topic
from traderecon.transport.halt import REFUSED, halt
from traderecon.transport.log import OffsetOutOfRange
from traderecon.transport.microbatch import Record
from traderecon.transport.progress import Progress
from traderecon.transport.unreadable import UnreadableBatch

READ_S = 30.0
"""How long a few records are waited for; then they are asked for again, later."""
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
        self._ids: Mapping[str, str] = {}
        self._proven: dict[TP, int] = {}
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
        expected = [*self._noted(tps), *self._in_tables(tps), *self._written()]
        ids = [(tp, self._notes[tp].log) for tp in sorted(tps & self._notes.keys())]
        for tp in tps & self._notes.keys():
            ids += [(TP(topic, 0), was) for topic, was in self._notes[tp].logs.items()]
        topics = {one.tp.topic for one in expected} | {tp.topic for tp in tps} | {tp.topic for tp, _ in ids}
        found = await self._consumer.log_ids(topics | self._app.writes)
        for tp, was in [*ids, *((TP(topic, 0), was) for topic, was in self._ids.items())]:
            if said := other_topic(tp, was, found.get(tp.topic, "")):
                halt(said, code=REFUSED)
        self._ids = {**self._ids, **found}
        unanswered = await self._compare(expected)
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
                halt(
                    f"{changelog}[{tp.partition}] has lost its beginning: it was deleted, or cut by retention, and a "
                    f"worker wrote to it since. Stop all workers, delete the topic {changelog}, run `traderecon topics "
                    "create`, remove the local stores (worker-*/matching in the data directory), and start again: the "
                    "table is rebuilt from the journal.",
                    code=REFUSED,
                )
            await table.begin(tp.partition, str(clock.now_ns()))

    async def watch(self, readings: Mapping[TP, Progress]) -> None:
        """While records flow: the same, for what was done since the last look."""
        ids = await self._consumer.log_ids(self._ids.keys())
        for topic, was in self._ids.items():
            if said := other_topic(TP(topic, 0), was, ids.get(topic, "")):
                halt(said, code=REFUSED)
        marks = {tp: [fingerprint(mark) for mark in progress.marks] for tp, progress in readings.items()}
        newest = [Expected(tp, READ, several[-1]) for tp, several in marks.items() if several]
        fresh = [
            Expected(tp, READ, mark)
            for tp, several in marks.items()
            for mark in several
            if not self._is_proven(tp, mark)
        ]
        waiting, self._unanswered = self._unanswered, []
        try:
            unanswered = await self._compare([*waiting, *fresh, *newest, *self._written()])
        except BaseException:
            self._unanswered += waiting
            raise
        self._unanswered += [one for one in unanswered if one in waiting]
        without_leader = {one.tp for one in unanswered}
        for one in fresh:
            if one.tp not in without_leader:
                self._proven[one.tp] = max(one.was.offset, self._proven.get(one.tp, -1))

    def _is_proven(self, tp: TP, mark: Fingerprint) -> bool:
        return mark.offset <= self._proven.get(tp, -1)

    def note(self, tp: TP, progress: Progress) -> str:
        """What to note with a commit of this partition."""
        marks = tuple([fingerprint(mark) for mark in progress.marks])
        unproven = tuple([mark for mark in marks if not self._is_proven(tp, mark)])
        before = self._notes.get(tp)
        done = unproven or marks[-1:] or (before.done[-1:] if before is not None else ())
        written: dict[str, dict[int, Fingerprint]] = defaultdict(dict)
        for place, last in self._app.written.items():
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

    def _written(self) -> Iterable[Expected]:
        return (Expected(tp, WRITTEN, mark) for tp, mark in self._app.written.items())

    # -- what is there

    async def _compare(self, expected: Iterable[Expected]) -> list[Expected]:
        """End the process, 78, where the log has not what is expected; gives what no leader has answered about."""
        by_place: dict[TP, dict[int, Expected]] = defaultdict(dict)
        for one in expected:
            by_place[one.tp].setdefault(one.was.offset, one)
        if not by_place:
            return []
        bounds = await self._consumer.bounds(set(by_place))
        if any(one.was.offset >= bounds[one.tp][1] for one in _answered(by_place, bounds)):
            # A leader just elected may not know its own end yet.
            await self._consumer.sleep(self._consumer.watch_interval_s)
            bounds = await self._consumer.bounds(set(by_place))
        for tp, (low, high) in bounds.items():
            for one in by_place[tp].values():
                if said := differs(tp, one.deed, one.was, low, high, None):
                    halt(said, code=REFUSED)
        there = [(tp, offset) for tp in sorted(bounds) for offset in sorted(by_place[tp]) if offset >= bounds[tp][0]]
        try:
            async with asyncio.timeout(READ_S):
                found = await self._records(there)
        except (
            TimeoutError,
            OffsetOutOfRange,
        ):  # a leader has gone, or retention has come, since the bounds were asked
            return [one for several in by_place.values() for one in several.values()]
        for (tp, offset), record in found.items():
            one, (low, high) = by_place[tp][offset], bounds[tp]
            if said := differs(tp, one.deed, one.was, low, high, record):
                halt(said, code=REFUSED)
        return [one for tp, several in by_place.items() if tp not in bounds for one in several.values()]

    async def _records(self, places: list[tuple[TP, int]]) -> dict[tuple[TP, int], Record]:
        """The records at these offsets; those that are gone are left out. One of each partition at a time."""
        found: dict[tuple[TP, int], Record] = {}
        left = list(places)
        while left:
            spans = {tp: range(offset, offset + 1) for tp, offset in reversed(left)}
            left = [(tp, offset) for tp, offset in left if spans[tp].start != offset]
            async for tp, records in self._app.transport.read(spans, refuse_unreadable=False):
                # Whether a batch can be read depends on settings and codecs too: such a one says nothing.
                found |= {(tp, one.offset): one for one in records if type(one) is not UnreadableBatch}
        return found


def _answered(by_place: Mapping[TP, Mapping[int, Expected]], answered: Collection[TP]) -> Iterable[Expected]:
    return (one for tp, several in by_place.items() if tp in answered for one in several.values())
