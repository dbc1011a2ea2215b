"""The log against a model of lists and dicts: append, read, commit, trim, compact, reopen, in any order."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from traderecon.transport.log import Entry, Log, OffsetOutOfRange, Record, Sync

PLAIN, COMPACTED = "legs", "facts"
PARTITIONS = 2
TPS = [(topic, partition) for topic in (PLAIN, COMPACTED) for partition in range(PARTITIONS)]

keys = st.sampled_from([b"", b"T1", b"T2", b"T3"])
blobs = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2).map(tuple)
entries = st.tuples(keys, blobs, st.integers(0, 2**53), headers)
groups = st.tuples(st.sampled_from(TPS), st.lists(entries, max_size=6))
tps = st.sampled_from(TPS)


class LogAndModel(RuleBasedStateMachine):
    """The model stores every record ever appended, and which of them may be gone."""

    @initialize()
    def begin(self) -> None:
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name, "log.db")
        self.log = Log.open(self.path, sync=Sync.NORMAL)
        self.log.create(PLAIN, PARTITIONS)
        self.log.create(COMPACTED, PARTITIONS, compacted=True)
        self.written: dict[tuple[str, int], list[Record]] = {tp: [] for tp in TPS}
        self.first = dict.fromkeys(TPS, 0)
        self.forgotten = dict.fromkeys(TPS, 0)
        self.commits: dict[str, dict[tuple[str, int], int]] = {"matching": {}, "sink": {}}

    def teardown(self) -> None:
        self.log.close()
        self.directory.cleanup()

    def add(self, tp: tuple[str, int], sent: list[Entry]) -> int:
        written = self.written[tp]
        base = len(written)
        written += [
            Record(offset, timestamp_ms, key, value, tuple(headers))
            for offset, (key, value, timestamp_ms, headers) in enumerate(sent, base)
        ]
        return base

    @rule(sent=st.lists(groups, max_size=4))
    def append(self, sent: list[tuple[tuple[str, int], list[Entry]]]) -> None:
        bases = self.log.append([(*tp, part) for tp, part in sent])
        assert bases == [self.add(tp, part) for tp, part in sent]

    @rule(tp=tps, count=st.sampled_from([999, 1_000, 1_001, 2_500]), distinct=st.integers(1, 2_000))
    def append_many(self, tp: tuple[str, int], count: int, distinct: int) -> None:
        sent: list[Entry] = [(b"%d" % (number % distinct), b"%d" % number, number, ()) for number in range(count)]
        assert self.log.append([(*tp, sent)]) == [self.add(tp, sent)]

    @rule(tp=tps, start=st.integers(-1, 4_000), back=st.integers(0, 5), count=st.integers(1, 3_000))
    def read(self, tp: tuple[str, int], start: int, back: int, count: int) -> None:
        end = len(self.written[tp])
        if start > end:
            start = end - back
        if not self.first[tp] <= start <= end:
            with pytest.raises(OffsetOutOfRange):
                self.log.read(*tp, start, count)
            return
        records = self.log.read(*tp, start, count)
        self.check(tp, start, records, records[-1].offset + 1 if len(records) == count else end)

    def check(self, tp: tuple[str, int], start: int, records: list[Record], end: int) -> None:
        """Records read are those written; the others of [start, end) are superseded or deleted."""
        written = self.written[tp]
        offsets = [record.offset for record in records]
        assert records == [written[offset] for offset in offsets]
        assert offsets == sorted(set(offsets))
        if tp[0] == PLAIN:
            assert offsets == list(range(start, start + len(offsets)))
            assert offsets or start == end
            return
        newest = {record.key: record.offset for record in written}
        for offset in set(range(start, end)) - set(offsets):
            gone = written[offset]
            superseded = newest[gone.key] > offset
            assert superseded or (gone.value is None and offset < self.forgotten[tp])

    @rule(group=st.sampled_from(["matching", "sink"]), offsets=st.dictionaries(tps, st.integers(0, 9), max_size=3))
    def commit(self, group: str, offsets: dict[tuple[str, int], int]) -> None:
        self.log.commit(group, offsets)
        self.commits[group] |= offsets

    @rule(partition=st.integers(0, PARTITIONS - 1), before=st.integers(-2, 4_000))
    def trim(self, partition: int, before: int) -> None:
        tp = (PLAIN, partition)
        self.log.trim(*tp, before)
        self.first[tp] = max(self.first[tp], min(before, len(self.written[tp])))

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        steps=st.integers(1, 6),
        at_once=st.sampled_from([1, 1_500, 10_000]),
        forget=st.integers(0, 4_000),
    )
    def compact(self, partition: int, steps: int, at_once: int, forget: int) -> None:
        tp = (COMPACTED, partition)
        self.forgotten[tp] = max(self.forgotten[tp], forget)
        for _ in range(steps):
            self.log.compact(*tp, forget_before=forget, max_records=at_once, min_dirty=1)

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = Log.open(self.path, sync=Sync.NORMAL)

    @invariant()
    def bounds_and_commits_are_kept(self) -> None:
        for tp in TPS:
            assert (self.log.earliest(*tp), self.log.end(*tp)) == (self.first[tp], len(self.written[tp]))
        for group, commits in self.commits.items():
            assert self.log.committed(group, TPS) == commits

    @invariant()
    def everything_that_counts_is_there(self) -> None:
        for tp in TPS:
            first, end = self.first[tp], len(self.written[tp])
            self.check(tp, first, self.log.read(*tp, first, end + 1), end)


TestLogAndModel = LogAndModel.TestCase
TestLogAndModel.settings = settings(max_examples=40, stateful_step_count=30)
