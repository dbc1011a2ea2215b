"""A table written in batches: the changelog first, then one write of the local store.

    table.write_batch(batch) -> get, scan, put, delete -> await write()
        changelog acknowledged -> one RocksDB WriteBatch: rows, applied source offset, next changelog offset

So the local store is a prefix of the changelog at every moment, and what it holds of a source has been published
before. A record at or below ``applied`` is a replay. Where somebody else wrote to the changelog in between (a worker
that was stopped and woke up late), the gap is read before anything else is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import faust
from faust.types import TP
from rocksdict import Rdict, WriteBatch

from traderecon.exit_codes import Exit
from traderecon.transport import MicroBatch, Outgoing, Record
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.failpoints import Failpoint, hit
from traderecon.transport.fingerprint import ANY_TIME, Fingerprint, checksum, fingerprint
from traderecon.transport.unreadable import UnreadableBatch

from .monotonic import higher
from .quarantine import condemn, unreadable
from .store import CHANGELOG_KEY, CHANGELOG_MARK_KEY, INTERNAL, Row, Store, rows, same_format

STORES = ".db/"
"""Where RocksDB names a file, the store it is of stands before this."""
APPLIED_KEY = INTERNAL + b"applied\x00"
"""Before the source topic's name: the last offset of it whose effects are in this partition."""
LAST_KEY = INTERNAL + b"last\x00"
"""Before the source topic's name: the fingerprint of that record, to know the log by."""
BEGUN_KEY = INTERNAL + b"begun"
"""The first row of a changelog: when it was begun, in ns. One that is made anew has another."""
WRITTEN_KEY = INTERNAL + b"written\x00"
"""Before topic, NUL, partition: the fingerprint of the last record written there before these rows."""

OWN_MONOTONIC = (APPLIED_KEY, LAST_KEY, WRITTEN_KEY)
"""Of the table's own rows those that never fall."""


def applied_key(topic: str) -> bytes:
    """The key of the row that says which offsets of a source topic are in a table."""
    return APPLIED_KEY + topic.encode()


class BatchTable(faust.Table[bytes, bytes]):
    """Bytes to bytes, per partition of its source; written by one agent, through drafts.

    Rows whose keys begin with one of ``rising`` begin with a number, alone or before a blank, that never falls: of two
    writers the one that has got further wins, whichever comes last. What has been applied is such a row.
    """

    app: Any  # a StreamApp
    data: Store

    def __init__(
        self, app: faust.App, *, name: str, partitions: int, rising: tuple[bytes, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            **kwargs,
        )
        self._writes: dict[int, int] = {}
        self._restored: dict[int, int] = {}
        self._rising = (*OWN_MONOTONIC, *rising)

    def _new_store(self) -> Store:
        return Store(self.app.conf.store, self.app, self, table_name=self.name, loop=self.loop)

    def write_batch(self, batch: MicroBatch) -> "TableBatch":
        """The changes one micro-batch makes to the partition it came from."""
        return TableBatch(self, batch)

    def applied(self, topic: str, partition: int) -> int:
        """The last offset of ``topic`` whose effects are in the partition; -1 when there is none."""
        found = self.data.of(partition).get(applied_key(topic))
        if found is None:
            return -1
        offset, _, other = found.partition(b" ")
        if other:  # the first format says nothing of itself
            same_format(f"{self.changelog_topic.get_topic_name()}[{partition}]", int(other))
        return int(offset)

    def begun(self, partition: int) -> str:
        """When the changelog was begun, as its first row says; empty where that is not among the rows."""
        return (self.data.of(partition).get(BEGUN_KEY) or b"").decode()

    async def begin(self, partition: int, at: str) -> None:
        """Write the first row of a changelog."""
        await self.put_rows(partition, {BEGUN_KEY: at.encode()})

    def last(self, topic: str, partition: int) -> Fingerprint | None:
        """The last record of ``topic`` whose effects are in the partition; None where nobody noted it."""
        return _mark(self.data.of(partition).get(LAST_KEY + topic.encode()))

    def written(self, partition: int) -> dict[TP, Fingerprint]:
        """The last records written elsewhere before the partition's rows were, by topic and partition."""
        found = {}
        for key, value in rows(self.data.of(partition), WRITTEN_KEY):
            topic, _, number = key[len(WRITTEN_KEY) :].rpartition(b"\x00")
            if (mark := _mark(value)) is not None:
                found[TP(topic.decode(), int(number))] = mark
        return found

    def stored_row(self, partition: int, key: bytes) -> bytes | None:
        """A row as it is stored."""
        return self.data.of(partition).get(key)

    def stored_values(self, partition: int, prefix: bytes) -> list[bytes]:
        """The values of the stored rows whose keys begin with ``prefix``."""
        return [value for _, value in rows(self.data.of(partition), prefix)]

    async def put_rows(self, partition: int, changes: Mapping[bytes, bytes]) -> None:
        """Write rows outside of any batch, changelog first; only while no draft of the partition is at work."""
        self._restored[partition] = self._restored.get(partition, 0) + 1
        await self._write(partition, dict(changes))

    def held(self, partition: int) -> "Held":
        """What drafts find; equal as long as nobody but drafts has written to it."""
        return Held(self.data.of(partition), self._restored.get(partition, 0))

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError(f"table {self.name} is written in batches: put {key!r} into a batch, and write that")

    def __delitem__(self, key: bytes) -> None:
        raise TypeError(f"table {self.name} is written in batches: delete {key!r} in a batch, and write that")

    # -- the changelog side

    def next_changelog_offset(self, partition: int) -> int:
        """The first changelog offset that the local store does not hold; 0 when it is empty."""
        found = self.data.of(partition).get(CHANGELOG_KEY)
        return 0 if found is None else int(found)

    def changelog_mark(self, partition: int) -> Fingerprint | None:
        """The last changelog record that the local store holds; None where nobody noted it."""
        return _mark(self.data.of(partition).get(CHANGELOG_MARK_KEY))

    def restore(self, tp: TP, records: Sequence[Record], end: int) -> None:
        """Write changelog records, in order, and that the store now holds everything below ``end``."""
        self._restored[tp.partition] = self._restored.get(tp.partition, 0) + 1
        self._store_rows(tp.partition, ((record.key or b"", record.value) for record in records), end)

    async def _write(self, partition: int, changes: dict[bytes, bytes | None]) -> None:
        writes = self._writes[partition] = self._writes.get(partition, 0) + 1
        changelog = TP(self.changelog_topic.get_topic_name(), partition)
        outgoing = [Outgoing(key, value) for key, value in changes.items()]
        hit(Failpoint.CHANGELOG_NEXT, changelog.topic)
        spans = await self.app.append(changelog.topic, partition, outgoing)
        hit(Failpoint.CHANGELOG_ACKED, changelog.topic)
        if self._writes[partition] != writes:
            raise RuntimeError(f"table {self.name}: two drafts of partition {partition} were written at once")
        held = self.next_changelog_offset(partition)
        if spans[0].start < held:
            fail_stop(
                f"{changelog.topic}[{partition}] gave a write offset {spans[0].start}, the store holds {held} of "
                f"it: it was truncated or made anew. Remove {self.store_path(partition)} to begin from the topic.",
                code=Exit.CONFIG,
            )
        if [spans[0].start, *(span.start for span in spans[1:])] == [held, *(span.stop for span in spans[:-1])]:
            self._store_rows(partition, changes.items(), spans[-1].stop)
            return
        async for tp, records in self.app.transport.read({changelog: range(held, spans[-1].stop)}):
            self.restore(tp, records, records[-1].offset + 1)

    def _store_rows(self, partition: int, changes: Iterable[tuple[bytes, bytes | None]], changelog_end: int) -> None:
        db = self.data.of(partition)
        batch = WriteBatch(raw_mode=True)
        risen: dict[bytes, bytes | None] = {}
        last: tuple[bytes, bytes | None] | None = None
        for key, value in changes:
            last = key, value
            if key.startswith(self._rising):
                held = risen[key] if key in risen else db.get(key)
                risen[key] = None if value is None else higher(value, held)
            elif value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for key, value in risen.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(CHANGELOG_KEY, b"%d" % changelog_end)
        if last is not None:
            batch.put(CHANGELOG_MARK_KEY, b"%d %d %d" % (changelog_end - 1, ANY_TIME, checksum(*last)))
        db.write(batch)

    def store_path(self, partition: int) -> Path:
        """The directory of a partition's local store."""
        return self.data.partition_path(partition)

    def distrust(self, partition: int, error: BaseException) -> None:
        """After an error: where the local store could not be read, it is put aside at the next start."""
        path = self.store_path(partition)
        if unreadable(error) and (str(path) in str(error) or STORES not in str(error)):
            with suppress(OSError):  # then it is found again
                condemn(path, str(error))


class Held(NamedTuple):
    """A store as it was opened, and how often changelog records have been written into it since."""

    store: Rdict
    restored: int


def _mark(value: bytes | None) -> Fingerprint | None:
    return None if value is None else Fingerprint(*map(int, value.split()))


class TableBatch:
    """What one micro-batch changes: reads see it over the stored rows, ``write`` makes it durable.

    No key is empty: its first byte says what kind of row it is of.
    """

    __slots__ = ("_batch", "_db", "_kinds", "_table", "applied", "held", "partition")

    def __init__(self, table: BatchTable, batch: MicroBatch) -> None:
        self._table = table
        self._batch = batch
        self.partition = batch.partition
        self.held = table.held(batch.partition)
        self._db = self.held.store
        self._kinds: defaultdict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        self.applied = table.applied(batch.topic, batch.partition)
        """Records of the source up to this offset are replays."""

    @property
    def pending(self) -> bool:
        """Whether it has rows that are not written."""
        return any(self._kinds.values())

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, as of this write_batch."""
        drafted = self._kinds[key[0]]
        if key in drafted:
            return drafted[key]
        return self._db.get(key)

    def scan(self, prefix: bytes, before: bytes | None = None, start: bytes = b"") -> Iterator[Row]:
        """Every key that begins with ``prefix``, from ``start`` to ``before``, and its value; stored ones first."""
        drafted = self._kinds[prefix[0]]
        for key, value in rows(self._db, prefix, start, before):
            if key not in drafted and not key.startswith(INTERNAL):
                yield key, value
        for key, change in sorted(drafted.items()):
            if change is not None and key.startswith(prefix) and key >= start and (before is None or key < before):
                yield key, change

    def stored(self, prefix: bytes) -> list[Row]:
        """What ``scan`` gives, at once, and without what this draft changes: for the few rows of one trade."""
        return list(rows(self._db, prefix))

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key. Keys that begin with NUL are the table's own."""
        if key.startswith(INTERNAL):
            raise ValueError(f"key {key!r} begins with NUL, which the table keeps for itself")
        self._kinds[key[0]][key] = value

    def delete(self, key: bytes) -> None:
        """Forget a key; one that came with this draft leaves no trace."""
        drafted = self._kinds[key[0]]
        if drafted.get(key) is not None and self._db.get(key) is None:
            del drafted[key]
        else:
            drafted[key] = None

    async def write(self, upto: int | None = None) -> None:
        """Changelog, acknowledged; then the local store, in one write. Publish results before this, ack after it.

        ``upto``: the last record of the batch that is done, where not all are. The draft goes on, empty, from there.
        """
        applied = applied_key(self._batch.topic)
        # A replay that ends before what has been applied leaves that where it is.
        self.applied = max(self.applied, self._batch.last_offset if upto is None else upto)
        # In the order of their keys: where a write is cut, what begins with an earlier letter is there.
        changes = {key: value for _, kind in sorted(self._kinds.items()) for key, value in sorted(kind.items())}
        marks = {applied: b"%d" % self.applied, **self._marks()}
        await self._table._write(self._batch.partition, {**changes, **marks})
        hit(Failpoint.STORED, self._batch.topic)
        self._kinds.clear()
        self.held = self._table.held(self.partition)

    def _marks(self) -> dict[bytes, bytes]:
        """Fingerprints: of the record that is applied, and of what was written before, in our partition's number."""
        marks = {}
        readable = (record for record in reversed(self._batch.records) if type(record) is not UnreadableBatch)
        last = next((record for record in readable if record.offset <= self.applied), None)
        if last is not None:
            marks[LAST_KEY + self._batch.topic.encode()] = b"%d %d %d" % fingerprint(last)
        for (topic, number), mark in self._table.app.written.lasts().items():
            if number == self.partition:
                marks[WRITTEN_KEY + b"%b\x00%d" % (topic.encode(), number)] = b"%d %d %d" % mark
        return marks
