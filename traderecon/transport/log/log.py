"""The log: Kafka's topics, offsets and commits for the processes of one machine, by Kafka's rules.

Offsets ascend by one from 0 and are never reused, whatever is removed. A call returns after its changes are synced.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Self

from traderecon.transport.log.batches import Entry, Record, number_entries, pack, unpack
from traderecon.transport.log.compaction import Compaction
from traderecon.transport.log.database import INSERT, Database, Sync, batch_key
from traderecon.transport.log.errors import NoSuchPartition, OffsetOutOfRange, RecordRejected, TopicDiffers

PATIENCE_S = 10.0
READ_BYTES = 8 * 1_048_576
COMPACTED_AT_ONCE = 10_000
"""Records per step of a compaction."""
MIN_DIRTY = 1_000
"""With fewer new records a compaction is not worth its two transactions."""
TRIMMED_AT_ONCE = 1_000
"""Batches deleted per call of ``trim``."""

BATCHES = "SELECT checksum, content FROM batches WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
READ = """
    SELECT first, next, checksum, content
    FROM partitions LEFT JOIN batches ON place >= ? AND place < ?
    WHERE id = ? ORDER BY place
"""
"""The bounds of a partition and its batches from an offset on, in one consistent read."""
NOTES = """
    CREATE TABLE IF NOT EXISTS notes (
        consumers TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next INTEGER NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (consumers, partition)
    ) WITHOUT ROWID
"""
"""A separate table: versions without notes keep writing ``commits``."""
TRIM = """
    DELETE FROM batches WHERE place IN (
        SELECT place FROM batches WHERE place >= ? AND place < ? ORDER BY place LIMIT ?
    )
"""

_offset = attrgetter("offset")


class Topic(NamedTuple):
    """A topic and the settings it was created with."""

    name: str
    partitions: int
    compacted: bool


class _Partition(NamedTuple):
    id: int
    compacted: bool


class Log:
    """An open log file.

    Any thread may call any method. One write and one read run at a time, and do not wait for each other. Calls block;
    writes return when they are on disk. A call that raises a ``LogError`` has changed nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._compactions: dict[int, Compaction] = {}
        self._compacting = Lock()

    @classmethod
    def open(cls, path: Path, *, sync: Sync = Sync.FULL, patience_s: float = PATIENCE_S) -> Self:
        """Open the log in this file, or create it; the directory must exist.

        ``patience_s``: how long a call waits for a writer in another process before it raises ``Busy``.
        """
        return cls(Database(path, sync, patience_s))

    def close(self) -> None:
        """Close the file once running calls have finished. Idempotent."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def cluster_id(self) -> str:
        """The log's unique id, generated when it was created."""
        return self._database.identity()

    # -- time

    def ahead_ms(self) -> int:
        """How far the log's time is ahead of the machine's clock, in milliseconds."""
        with self._database.reading() as db:
            return int(db.execute("SELECT ahead_ms FROM clock").fetchone()[0])

    def advance(self, ahead_ms: int) -> None:
        """Put the log's time ahead permanently, for every process; it never goes back."""
        with self._database.writing() as db:
            db.execute("UPDATE clock SET ahead_ms = max(ahead_ms, ?)", (ahead_ms,))

    # -- topics

    def create(self, name: str, partitions: int, *, compacted: bool = False) -> None:
        """Create a topic unless it exists; TopicDiffers if it exists with another count or cleanup policy."""
        if partitions < 1:
            raise ValueError(f"topic {name} with {partitions} partitions: at least one is required")
        with self._database.writing() as db:
            row = db.execute("SELECT name, partitions, compacted FROM topics WHERE name = ?", (name,)).fetchone()
            if row is None:
                db.execute("INSERT INTO topics VALUES (?, ?, ?)", (name, partitions, compacted))
                for number in range(partitions):
                    db.execute("INSERT INTO partitions (topic, number) VALUES (?, ?)", (name, number))
            elif (row[1], bool(row[2])) != (partitions, compacted):
                raise TopicDiffers(
                    f"topic {name} has {_description(row[1], row[2])}; requested: {_description(partitions, compacted)}"
                )

    def topics(self) -> list[Topic]:
        """Every topic, by name."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, partitions, compacted FROM topics ORDER BY name").fetchall()
        return [Topic(name, partitions, bool(compacted)) for name, partitions, compacted in rows]

    def partitions(self, topic: str) -> int:
        """The number of partitions of a topic; NoSuchPartition if it does not exist."""
        with self._database.reading() as db:
            row = db.execute("SELECT partitions FROM topics WHERE name = ?", (topic,)).fetchone()
        if row is None:
            raise NoSuchPartition(f"there is no topic {topic}: create it first")
        return int(row[0])

    # -- records

    def append(self, groups: Iterable[tuple[str, int, Sequence[Entry]]]) -> list[int]:
        """Append every group (topic, partition, entries), all or none; return the offset of each one's first record.

        RecordRejected for a record that is too large, or has no key in a compacted topic.
        """
        groups_with_rows = [(self._located(topic, partition), topic, entries) for topic, partition, entries in groups]
        bases = []
        with self._database.writing() as db:
            for partition, topic, entries in groups_with_rows:
                if partition.compacted and any(entry[0] is None for entry in entries):
                    raise RecordRejected(f"topic {topic} is compacted: its records need a key")
                base: int = db.execute("SELECT next FROM partitions WHERE id = ?", (partition.id,)).fetchone()[0]
                for batch in pack(number_entries(entries, base)):
                    db.execute(INSERT, (batch_key(partition.id, batch.last), batch.checksum, batch.content))
                db.execute("UPDATE partitions SET next = ? WHERE id = ?", (base + len(entries), partition.id))
                bases.append(base)
        return bases

    def read(
        self, topic: str, partition: int, start: int, max_records: int, *, max_bytes: int = READ_BYTES
    ) -> list[Record]:
        """Read up to ``max_records`` records from offset ``start`` on, in order: none at the end, else at least one.

        Stops early after the stored batch that reaches ``max_bytes``. OffsetOutOfRange if ``start`` was trimmed or is
        beyond the end. In a compacted topic the first record may be later than ``start``.
        """
        partition_row = self._located(topic, partition)
        span = (batch_key(partition_row.id, start), batch_key(partition_row.id + 1, 0), partition_row.id)
        records: list[Record] = []
        size = 0
        with self._database.reading() as db, closing(db.execute(READ, span)) as batches:
            for first, end, checksum, content in batches:
                if not first <= start <= end:
                    raise OffsetOutOfRange(f"{topic}[{partition}]: offset {start}, the log has {first} to {end}")
                if content is None:
                    break
                batch = unpack(f"{topic}[{partition}]", checksum, content)
                records += batch if batch[0].offset >= start else batch[bisect_left(batch, start, key=_offset) :]
                size += len(content)
                if len(records) >= max_records or size >= max_bytes:
                    break
        del records[max_records:]
        return records

    def earliest(self, topic: str, partition: int) -> int:
        """The first offset that was not trimmed; compaction does not change it."""
        return self._bounds(topic, partition)[0]

    def end(self, topic: str, partition: int) -> int:
        """The offset of the next record."""
        return self._bounds(topic, partition)[1]

    def version(self) -> int:
        """A number that changes with every write, by this process or another. Cheap."""
        with self._database.reading() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    # -- commits

    def commit(
        self, group: str, offsets: Mapping[tuple[str, int], int], notes: Mapping[tuple[str, int], str] | None = None
    ) -> None:
        """Store a group's next offset of each (topic, partition), with a note; all or none."""
        commits = [(group, self._located(*tp).id, offset) for tp, offset in offsets.items()]
        with_notes = [
            (group, self._located(*tp).id, offset, (notes or {}).get(tp, "")) for tp, offset in offsets.items()
        ]
        with self._database.writing() as db:
            db.execute(NOTES)
            db.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", with_notes)
            db.executemany(
                "INSERT INTO commits VALUES (?, ?, ?) "
                "ON CONFLICT (consumers, partition) DO UPDATE SET next = excluded.next",
                commits,
            )

    def committed(self, group: str, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The group's next offset of each (topic, partition) that it has committed."""
        tps = {self._located(*tp).id: tp for tp in partitions}
        with self._database.reading() as db:
            rows = db.execute("SELECT partition, next FROM commits WHERE consumers = ?", (group,)).fetchall()
        return {tps[partition]: offset for partition, offset in rows if partition in tps}

    def notes(self, group: str, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """The notes of the group's commits; absent if a version without notes has committed since."""
        tps = {self._located(*tp).id: tp for tp in partitions}
        with self._database.reading() as db:
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'notes'").fetchone():
                return {}
            rows = db.execute(
                "SELECT partition, note FROM notes JOIN commits USING (consumers, partition, next) WHERE consumers = ?",
                (group,),
            ).fetchall()
        return {tps[partition]: note for partition, note in rows if partition in tps}

    # -- retention and compaction

    def readers(self, topic: str, partition: int) -> dict[str, int]:
        """The next offset of every group that has committed in a partition."""
        partition_row = self._located(topic, partition)
        with self._database.reading() as db:
            rows = db.execute("SELECT consumers, next FROM commits WHERE partition = ?", (partition_row.id,)).fetchall()
        return dict(rows)

    def expired(self, topic: str, partition: int, before_ms: int, max_batches: int = TRIMMED_AT_ONCE) -> int:
        """The offset below which all records are older than ``before_ms`` (ms since 1970); checks ``max_batches``."""
        partition_row = self._located(topic, partition)
        first = self._bounds(topic, partition)[0]
        span = (batch_key(partition_row.id, first), batch_key(partition_row.id + 1, 0), max_batches)
        with self._database.reading() as db, closing(db.execute(BATCHES, span)) as batches:
            for checksum, content in batches:
                records = unpack(f"{topic}[{partition}]", checksum, content)
                if any(record.timestamp >= before_ms for record in records):
                    break
                first = records[-1].offset + 1
        return first

    def trim(self, topic: str, partition: int, before: int) -> bool:
        """Remove the records below offset ``before``: readers no longer see them, and a bounded part is deleted.

        True if more is left to delete: call it again. Not for compacted topics, whose old records may still be current.
        """
        partition_row = self._located(topic, partition)
        if partition_row.compacted:
            raise ValueError(f"topic {topic} is compacted: trimming would lose current rows")
        with self._database.writing() as db:
            (end,) = db.execute("SELECT next FROM partitions WHERE id = ?", (partition_row.id,)).fetchone()
            first = min(before, end)
            db.execute("UPDATE partitions SET first = max(first, ?) WHERE id = ?", (first, partition_row.id))
            span = (batch_key(partition_row.id, 0), batch_key(partition_row.id, first))
            removed = db.execute(TRIM, (*span, TRIMMED_AT_ONCE)).rowcount
        return bool(removed == TRIMMED_AT_ONCE)

    def compact(
        self,
        topic: str,
        partition: int,
        *,
        forget_before: int = 0,
        max_records: int = COMPACTED_AT_ONCE,
        min_dirty: int | None = None,
    ) -> bool:
        """Run one bounded step of compaction, see ``Compaction``; True while it needs another.

        A pass begins when ``min_dirty`` records were written since the last one (None: as many as that one left, at
        least ``MIN_DIRTY``, so that compaction work stays proportional to writes). Removes tombstones below offset
        ``forget_before``: every reader with state must be past it. Only the worker process may compact.
        """
        partition_row = self._located(topic, partition)
        if not partition_row.compacted:
            raise ValueError(f"topic {topic} is not compacted: none of its records may be removed by compaction")
        with self._compacting:
            compaction = self._compactions.get(partition_row.id)
            if compaction is None:
                with self._database.reading() as db:
                    cleaned, kept, end = db.execute(
                        "SELECT cleaned, kept, next FROM partitions WHERE id = ?", (partition_row.id,)
                    ).fetchone()
                if end - cleaned < (max(MIN_DIRTY, kept) if min_dirty is None else max(1, min_dirty)):
                    return False
                compaction = Compaction(f"{topic}[{partition}]", partition_row.id, cleaned, end)
                self._compactions[partition_row.id] = compaction
            if compaction.step(self._database, max_records, forget_before):
                return True
            del self._compactions[partition_row.id]
            return False

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        partition_row = self._located(topic, partition)
        with self._database.reading() as db:
            first, end = db.execute("SELECT first, next FROM partitions WHERE id = ?", (partition_row.id,)).fetchone()
        return first, end

    def _located(self, topic: str, partition: int) -> _Partition:
        """A partition's row, cached: it never changes."""
        partition_row = self._partitions.get((topic, partition))
        if partition_row is None:
            with self._database.reading() as db:
                row = db.execute(
                    "SELECT id, compacted FROM partitions JOIN topics ON name = topic WHERE name = ? AND number = ?",
                    (topic, partition),
                ).fetchone()
            if row is None:
                raise NoSuchPartition(f"there is no partition {topic}[{partition}]: create the topic first")
            partition_row = self._partitions[topic, partition] = _Partition(row[0], bool(row[1]))
        return partition_row


def _description(partitions: int, compacted: bool) -> str:
    return f"{partitions} partitions{', compacted' if compacted else ''}"
