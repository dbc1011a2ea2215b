"""A table written in batches: first the changelog, then the local store in one write.

    table.write_batch(batch) -> get, scan, put, delete -> await write()
        changelog acknowledged -> one RocksDB WriteBatch: rows, applied source offset, next changelog offset

So the local store is always a prefix of the changelog, and its rows come only from records whose results are already
published. A record at or below ``applied`` is a replay. If another process wrote to the changelog in between (a
suspended worker that resumed late), its records are read before anything else is written.
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
from .store import CHANGELOG_KEY, CHANGELOG_MARK_KEY, INTERNAL, Row, Store, prefix_end, require_format, rows

STORES = ".db/"
"""Ends the store's directory in the file names of RocksDB's error texts."""
APPLIED_KEY = INTERNAL + b"applied\x00"
"""Prefix; followed by a source topic's name: its last offset whose effects are in this partition."""
LAST_KEY = INTERNAL + b"last\x00"
"""Prefix; followed by a source topic's name: the fingerprint of that record."""
BEGUN_KEY = INTERNAL + b"begun"
"""The first row of a changelog: its creation time in ns, by which a recreated changelog is detected."""
WRITTEN_KEY = INTERNAL + b"written\x00"
"""Prefix; followed by topic, NUL, partition: the fingerprint of the last record written there before these rows."""

OWN_MONOTONIC = (APPLIED_KEY, LAST_KEY, WRITTEN_KEY)
"""The monotonic rows among the table's reserved rows."""


def applied_key(topic: str) -> bytes:
    """The key of the row with the last applied offset of a source topic."""
    return APPLIED_KEY + topic.encode()


class BatchTable(faust.Table[bytes, bytes]):
    """Bytes to bytes, partitioned as its source; written by one agent, through write batches.

    Values of keys with a prefix in ``monotonic`` begin with a number, alone or before a space, that never decreases: of
    two writers the higher number wins, whichever writes last. The applied offset is such a row.
    """

    app: Any  # a StreamApp
    data: Store

    def __init__(
        self, app: faust.App, *, name: str, partitions: int, monotonic: tuple[bytes, ...] = (), **kwargs: Any
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
        self._first_keys: dict[int, tuple[Rdict, dict[bytes, bytes]]] = {}
        self._monotonic = (*OWN_MONOTONIC, *monotonic)

    def _new_store(self) -> Store:
        return Store(self.app.conf.store, self.app, self, table_name=self.name, loop=self.loop)

    def write_batch(self, batch: MicroBatch) -> "TableBatch":
        """Begin the changes that one micro-batch makes to its partition."""
        return TableBatch(self, batch)

    def applied(self, topic: str, partition: int) -> int:
        """The last offset of ``topic`` whose effects are in the partition; -1 if there is none."""
        value = self.data.of(partition).get(applied_key(topic))
        if value is None:
            return -1
        offset, _, row_format = value.partition(b" ")
        if row_format:  # absent in the first format
            require_format(f"{self.changelog_topic.get_topic_name()}[{partition}]", int(row_format))
        return int(offset)

    def begun(self, partition: int) -> str:
        """When the changelog was begun, from its first row; empty if it has no such row."""
        return (self.data.of(partition).get(BEGUN_KEY) or b"").decode()

    async def begin(self, partition: int, begun: str) -> None:
        """Write the first row of a changelog."""
        await self.put_rows(partition, {BEGUN_KEY: begun.encode()})

    def last(self, topic: str, partition: int) -> Fingerprint | None:
        """The last record of ``topic`` whose effects are in the partition; None if it was not recorded."""
        return _mark(self.data.of(partition).get(LAST_KEY + topic.encode()))

    def write_marks(self, partition: int) -> dict[TP, Fingerprint]:
        """The last record written to each other topic and partition before this partition's rows."""
        marks = {}
        for key, value in rows(self.data.of(partition), WRITTEN_KEY):
            topic, _, number = key[len(WRITTEN_KEY) :].rpartition(b"\x00")
            if (mark := _mark(value)) is not None:
                marks[TP(topic.decode(), int(number))] = mark
        return marks

    def stored_row(self, partition: int, key: bytes) -> bytes | None:
        """The stored value of a key."""
        return self.data.of(partition).get(key)

    def stored_values(self, partition: int, prefix: bytes) -> list[bytes]:
        """The stored values of keys that begin with ``prefix``."""
        return [value for _, value in rows(self.data.of(partition), prefix)]

    async def put_rows(self, partition: int, changes: Mapping[bytes, bytes]) -> None:
        """Write rows without a batch, changelog first; only while no write batch of the partition is in use."""
        self._restored[partition] = self._restored.get(partition, 0) + 1
        await self._write(partition, dict(changes))

    def store_version(self, partition: int) -> "StoreVersion":
        """A value that stays equal as long as only write batches have written to the partition."""
        return StoreVersion(self.data.of(partition), self._restored.get(partition, 0))

    def first_keys(self, partition: int) -> dict[bytes, bytes]:
        """By kind of row, a key before which the open store has none, as far as scans have found out.

        RocksDB keeps deleted rows for a while, and a scan from the beginning would read all of them again.
        """
        db = self.data.of(partition)
        known = self._first_keys.get(partition)
        if known is None or known[0] is not db:
            known = self._first_keys[partition] = db, {}
        return known[1]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError(f"table {self.name} is written in batches: put {key!r} through write_batch")

    def __delitem__(self, key: bytes) -> None:
        raise TypeError(f"table {self.name} is written in batches: delete {key!r} through write_batch")

    # -- changelog

    def next_changelog_offset(self, partition: int) -> int:
        """The first changelog offset that the local store does not hold; 0 if it is empty."""
        value = self.data.of(partition).get(CHANGELOG_KEY)
        return 0 if value is None else int(value)

    def changelog_mark(self, partition: int) -> Fingerprint | None:
        """The last changelog record that the local store holds; None if it was not recorded."""
        return _mark(self.data.of(partition).get(CHANGELOG_MARK_KEY))

    def restore(self, tp: TP, records: Sequence[Record], end: int) -> None:
        """Store changelog records, in order, and record that the store holds everything below ``end``."""
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
            raise RuntimeError(f"table {self.name}: two batches of partition {partition} were written at the same time")
        stored_end = self.next_changelog_offset(partition)
        if spans[0].start < stored_end:
            fail_stop(
                f"{changelog.topic}[{partition}] assigned offset {spans[0].start} to a write, but the store already "
                f"holds {stored_end} records: the topic was truncated or recreated. Remove "
                f"{self.store_path(partition)} to rebuild the store from the topic.",
                code=Exit.CONFIG,
            )
        if [spans[0].start, *(span.start for span in spans[1:])] == [stored_end, *(span.stop for span in spans[:-1])]:
            self._store_rows(partition, changes.items(), spans[-1].stop)
            return
        async for tp, records in self.app.transport.read({changelog: range(stored_end, spans[-1].stop)}):
            self.restore(tp, records, records[-1].offset + 1)

    def _store_rows(self, partition: int, changes: Iterable[tuple[bytes, bytes | None]], changelog_end: int) -> None:
        db, first_keys = self.data.of(partition), self.first_keys(partition)
        batch = WriteBatch(raw_mode=True)
        monotonic: dict[bytes, bytes | None] = {}
        last: tuple[bytes, bytes | None] | None = None
        for key, value in changes:
            last = key, value
            if key < first_keys.get(key[:1], b""):
                first_keys[key[:1]] = key
            if key.startswith(self._monotonic):
                before = monotonic[key] if key in monotonic else db.get(key)
                monotonic[key] = None if value is None else higher(value, before)
            elif value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for key, value in monotonic.items():
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

    def condemn_if_unreadable(self, partition: int, error: BaseException) -> None:
        """After an error: if the local store was unreadable, have it quarantined at the next start."""
        path = self.store_path(partition)
        if unreadable(error) and (str(path) in str(error) or STORES not in str(error)):
            with suppress(OSError):  # without the mark, the damage is detected again
                condemn(path, str(error))


class StoreVersion(NamedTuple):
    """An open store, and how often rows were written into it other than by write batches."""

    store: Rdict
    restored: int


def _mark(value: bytes | None) -> Fingerprint | None:
    return None if value is None else Fingerprint(*map(int, value.split()))


class TableBatch:
    """The changes of one micro-batch: reads see them over the stored rows, ``write`` makes them durable.

    Keys are not empty; the first byte is the kind of row.
    """

    __slots__ = ("_batch", "_db", "_first_keys", "_kinds", "_table", "applied", "partition", "store_version")

    def __init__(self, table: BatchTable, batch: MicroBatch) -> None:
        self._table = table
        self._batch = batch
        self.partition = batch.partition
        self.store_version = table.store_version(batch.partition)
        self._db = self.store_version.store
        self._first_keys = table.first_keys(batch.partition)
        self._kinds: defaultdict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        self.applied = table.applied(batch.topic, batch.partition)
        """Source records up to this offset are replays."""

    @property
    def pending(self) -> bool:
        """Whether it has unwritten changes."""
        return any(self._kinds.values())

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, including this batch's changes."""
        changes = self._kinds[key[0]]
        if key in changes:
            return changes[key]
        return self._db.get(key)

    def scan(self, prefix: bytes, before: bytes | None = None, start: bytes = b"") -> Iterator[Row]:
        """Keys that begin with ``prefix``, from ``start`` to ``before``, with values: stored ones, then changes."""
        changes, kind = self._kinds[prefix[0]], prefix[:1]
        first_key = self._first_keys.get(kind, b"")
        is_new = prefix == kind and start <= first_key
        for key, value in rows(self._db, prefix, max(start, first_key), before):
            if is_new:
                self._first_keys[kind], is_new = key, False
            if key not in changes and not key.startswith(INTERNAL):
                yield key, value
        if is_new:
            self._first_keys[kind] = max(first_key, before or prefix_end(kind) or b"")
        for key, change in sorted(changes.items()):
            if change is not None and key.startswith(prefix) and key >= start and (before is None or key < before):
                yield key, change

    def stored(self, prefix: bytes) -> list[Row]:
        """The stored rows with a prefix, as a list and without this batch's changes: for the few rows of one trade."""
        return list(rows(self._db, prefix))

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key; those that begin with NUL are reserved."""
        if key.startswith(INTERNAL):
            raise ValueError(f"key {key!r} begins with NUL, which is reserved for the table")
        self._kinds[key[0]][key] = value

    def delete(self, key: bytes) -> None:
        """Delete a key; one that exists only in this batch leaves no tombstone."""
        changes = self._kinds[key[0]]
        if changes.get(key) is not None and self._db.get(key) is None:
            del changes[key]
        else:
            changes[key] = None

    async def write(self, upto: int | None = None) -> None:
        """Append to the changelog, then write the local store once. Publish results before this, acknowledge after it.

        ``upto``: the last finished record, if not all of the batch are finished. This object can be used again for the
        rest; it is empty afterwards.
        """
        applied = applied_key(self._batch.topic)
        # A replay that ends below the applied offset does not lower it.
        self.applied = max(self.applied, self._batch.last_offset if upto is None else upto)
        # In key order: if a write is cut off, the rows with smaller keys are there.
        changes = {key: value for _, kind in sorted(self._kinds.items()) for key, value in sorted(kind.items())}
        marks = {applied: b"%d" % self.applied, **self._marks()}
        await self._table._write(self._batch.partition, {**changes, **marks})
        hit(Failpoint.STORED, self._batch.topic)
        self._kinds.clear()
        self.store_version = self._table.store_version(self.partition)

    def _marks(self) -> dict[bytes, bytes]:
        """Fingerprints of the last applied record, and of the last writes to partitions with the same number."""
        marks = {}
        readable = (record for record in reversed(self._batch.records) if type(record) is not UnreadableBatch)
        last = next((record for record in readable if record.offset <= self.applied), None)
        if last is not None:
            marks[LAST_KEY + self._batch.topic.encode()] = b"%d %d %d" % fingerprint(last)
        for (topic, number), mark in self._table.app.write_marks.last_marks().items():
            if number == self.partition:
                marks[WRITTEN_KEY + b"%b\x00%d" % (topic.encode(), number)] = b"%d %d %d" % mark
        return marks
