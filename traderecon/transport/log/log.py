"""The log: what a Kafka does for one process and its neighbours, by Kafka's rules.

Offsets rise by one from 0 and are never given twice, whatever is removed. What a call acknowledges, it has synced.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Self

from traderecon.transport.log.batches import Entry, Record, numbered, packed, unpacked
from traderecon.transport.log.compaction import Compaction
from traderecon.transport.log.database import INSERT, Database, Sync, place
from traderecon.transport.log.errors import NoSuchPartition, OffsetOutOfRange, RecordRejected, TopicDiffers

PATIENCE_S = 10.0
READ_BYTES = 8 * 1_048_576
COMPACTED_AT_ONCE = 10_000
"""Records one step of compaction looks at."""
MIN_DIRTY = 1_000
"""Below, a compaction is not worth its two transactions."""
TRIMMED_AT_ONCE = 1_000
"""Batches whose room one ``trim`` gives back."""

BATCHES = "SELECT checksum, content FROM batches WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
READ = """
    SELECT first, next, checksum, content
    FROM partitions LEFT JOIN batches ON place >= ? AND place < ?
    WHERE id = ? ORDER BY place
"""
"""The bounds of a partition and its batches from an offset on, as of one moment."""
NOTES = """
    CREATE TABLE IF NOT EXISTS notes (
        consumers TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next INTEGER NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (consumers, partition)
    ) WITHOUT ROWID
"""
"""Beside the commits, which versions that know no notes go on to write."""
TRIM = """
    DELETE FROM batches WHERE place IN (
        SELECT place FROM batches WHERE place >= ? AND place < ? ORDER BY place LIMIT ?
    )
"""

_offset = attrgetter("offset")


class Topic(NamedTuple):
    """A topic as it was created."""

    name: str
    partitions: int
    compacted: bool


class _Partition(NamedTuple):
    id: int
    compacted: bool


class Log:
    """A log file, open.

    Any thread may call any method: one of them writes at a time, one reads, and a read does not wait for a write.
    Calls block, those that write until the disk has it. What raises a ``LogError`` has changed nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._compactions: dict[int, Compaction] = {}
        self._compacting = Lock()

    @classmethod
    def open(cls, path: Path, *, sync: Sync = Sync.FULL, patience_s: float = PATIENCE_S) -> Self:
        """The log in this file, made if it is missing; its directory must exist.

        ``patience_s``: how long a call waits for a writer in another process before it is ``Busy``.
        """
        return cls(Database(path, sync, patience_s))

    def close(self) -> None:
        """Close the file, when calls under way are over. A second time does nothing."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def cluster_id(self) -> str:
        """What tells this log from any other: drawn when it was made."""
        return self._database.identity()

    # -- time

    def ahead_ms(self) -> int:
        """What the log's time is ahead of the machine's clock, in milliseconds."""
        with self._database.reading() as db:
            return int(db.execute("SELECT ahead_ms FROM clock").fetchone()[0])

    def advance(self, ahead_ms: int) -> None:
        """Put the log's time ahead, for every process and for good; it never goes back."""
        with self._database.writing() as db:
            db.execute("UPDATE clock SET ahead_ms = max(ahead_ms, ?)", (ahead_ms,))

    # -- topics

    def create(self, name: str, partitions: int, *, compacted: bool = False) -> None:
        """Make a topic, or find it made just so; TopicDiffers when it is there with another count or kind."""
        if partitions < 1:
            raise ValueError(f"topic {name} with {partitions} partitions: it takes at least one")
        with self._database.writing() as db:
            row = db.execute("SELECT name, partitions, compacted FROM topics WHERE name = ?", (name,)).fetchone()
            if row is None:
                db.execute("INSERT INTO topics VALUES (?, ?, ?)", (name, partitions, compacted))
                for number in range(partitions):
                    db.execute("INSERT INTO partitions (topic, number) VALUES (?, ?)", (name, number))
            elif (row[1], bool(row[2])) != (partitions, compacted):
                raise TopicDiffers(
                    f"topic {name} has {_described(row[1], row[2])}, asked for was {_described(partitions, compacted)}"
                )

    def topics(self) -> list[Topic]:
        """Every topic, by name."""
        with self._database.reading() as db:
            found = db.execute("SELECT name, partitions, compacted FROM topics ORDER BY name").fetchall()
        return [Topic(name, partitions, bool(compacted)) for name, partitions, compacted in found]

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; NoSuchPartition when it does not exist."""
        with self._database.reading() as db:
            found = db.execute("SELECT partitions FROM topics WHERE name = ?", (topic,)).fetchone()
        if found is None:
            raise NoSuchPartition(f"there is no topic {topic}: create it first")
        return int(found[0])

    # -- records

    def append(self, groups: Iterable[tuple[str, int, Sequence[Entry]]]) -> list[int]:
        """Append every group (topic, partition, entries), all or none; gives the offset of each one's first record.

        RecordRefused for a record that is too large, or has no key in a compacted topic.
        """
        located = [(self._located(topic, partition), topic, entries) for topic, partition, entries in groups]
        bases = []
        with self._database.writing() as db:
            for partition, topic, entries in located:
                if partition.compacted and any(entry[0] is None for entry in entries):
                    raise RecordRejected(f"topic {topic} is compacted: a record without a key could never go")
                base: int = db.execute("SELECT next FROM partitions WHERE id = ?", (partition.id,)).fetchone()[0]
                for batch in packed(numbered(entries, base)):
                    db.execute(INSERT, (place(partition.id, batch.last), batch.checksum, batch.content))
                db.execute("UPDATE partitions SET next = ? WHERE id = ?", (base + len(entries), partition.id))
                bases.append(base)
        return bases

    def read(
        self, topic: str, partition: int, start: int, max_records: int, *, max_bytes: int = READ_BYTES
    ) -> list[Record]:
        """Up to ``max_records`` records from offset ``start`` on, in order; none at the end, else at least one.

        It ends early with the stored batch that brings it to ``max_bytes``. OffsetOutOfRange where ``start`` was
        trimmed, or is beyond the end. In a compacted topic the first record may come later than ``start``.
        """
        located = self._located(topic, partition)
        span = (place(located.id, start), place(located.id + 1, 0), located.id)
        records: list[Record] = []
        size = 0
        with self._database.reading() as db, closing(db.execute(READ, span)) as batches:
            for first, following, checksum, content in batches:
                if not first <= start <= following:
                    raise OffsetOutOfRange(f"{topic}[{partition}]: offset {start}, the log has {first} to {following}")
                if content is None:
                    break
                found = unpacked(f"{topic}[{partition}]", checksum, content)
                records += found if found[0].offset >= start else found[bisect_left(found, start, key=_offset) :]
                size += len(content)
                if len(records) >= max_records or size >= max_bytes:
                    break
        del records[max_records:]
        return records

    def earliest(self, topic: str, partition: int) -> int:
        """The first offset that was not trimmed; compaction does not move it."""
        return self._bounds(topic, partition)[0]

    def end(self, topic: str, partition: int) -> int:
        """The offset of the next record to come."""
        return self._bounds(topic, partition)[1]

    def version(self) -> int:
        """Another number than last time when anything was written since, by this process or any other. Cheap."""
        with self._database.reading() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    # -- what a group has done

    def commit(
        self, group: str, offsets: Mapping[tuple[str, int], int], notes: Mapping[tuple[str, int], str] | None = None
    ) -> None:
        """Keep the next offset of each (topic, partition) for a group, all of them or none; and a note beside each."""
        rows = [(group, self._located(*named).id, following) for named, following in offsets.items()]
        noted = [
            (group, self._located(*named).id, following, (notes or {}).get(named, ""))
            for named, following in offsets.items()
        ]
        with self._database.writing() as db:
            db.execute(NOTES)
            db.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", noted)
            db.executemany(
                "INSERT INTO commits VALUES (?, ?, ?) "
                "ON CONFLICT (consumers, partition) DO UPDATE SET next = excluded.next",
                rows,
            )

    def committed(self, group: str, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The group's next offset of each (topic, partition) that it has committed."""
        named = {self._located(*one).id: one for one in partitions}
        with self._database.reading() as db:
            rows = db.execute("SELECT partition, next FROM commits WHERE consumers = ?", (group,)).fetchall()
        return {named[partition]: following for partition, following in rows if partition in named}

    def notes(self, group: str, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """What was noted with the group's commits; nothing where a version that takes no notes has committed since."""
        named = {self._located(*one).id: one for one in partitions}
        with self._database.reading() as db:
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'notes'").fetchone():
                return {}
            rows = db.execute(
                "SELECT partition, note FROM notes JOIN commits USING (consumers, partition, next) WHERE consumers = ?",
                (group,),
            ).fetchall()
        return {named[partition]: note for partition, note in rows if partition in named}

    # -- room

    def readers(self, topic: str, partition: int) -> dict[str, int]:
        """The next offset of every group that has committed in a partition."""
        located = self._located(topic, partition)
        with self._database.reading() as db:
            found = db.execute("SELECT consumers, next FROM commits WHERE partition = ?", (located.id,)).fetchall()
        return dict(found)

    def expired(self, topic: str, partition: int, before_ms: int, max_batches: int = TRIMMED_AT_ONCE) -> int:
        """The offset up to which every record is older than ``before_ms`` (ms since 1970), of so many batches."""
        located = self._located(topic, partition)
        first = self._bounds(topic, partition)[0]
        span = (place(located.id, first), place(located.id + 1, 0), max_batches)
        with self._database.reading() as db, closing(db.execute(BATCHES, span)) as batches:
            for checksum, content in batches:
                records = unpacked(f"{topic}[{partition}]", checksum, content)
                if any(record.timestamp >= before_ms for record in records):
                    break
                first = records[-1].offset + 1
        return first

    def trim(self, topic: str, partition: int, before: int) -> bool:
        """Remove the records below offset ``before``; at once for readers, a bounded part of their room per call.

        True where room is left to give back: call it again. Not from a compacted topic: there, what is old is not what
        is superseded.
        """
        located = self._located(topic, partition)
        if located.compacted:
            raise ValueError(f"topic {topic} is compacted: trimming would lose rows nothing has superseded")
        with self._database.writing() as db:
            (end,) = db.execute("SELECT next FROM partitions WHERE id = ?", (located.id,)).fetchone()
            first = min(before, end)
            db.execute("UPDATE partitions SET first = max(first, ?) WHERE id = ?", (first, located.id))
            span = (place(located.id, 0), place(located.id, first))
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
        """One bounded step of compaction, see ``Compaction``; True while it is under way and wants another.

        It begins when ``min_dirty`` records came since the last one ended (None: as many as that one left, and not
        very few, so that a record is looked at about as often as one is written). Tombstones below offset
        ``forget_before`` go: every reader that has kept state must be past it. One process compacts, the worker.
        """
        located = self._located(topic, partition)
        if not located.compacted:
            raise ValueError(f"topic {topic} is not compacted: every record in it counts")
        with self._compacting:
            compaction = self._compactions.get(located.id)
            if compaction is None:
                with self._database.reading() as db:
                    cleaned, kept, following = db.execute(
                        "SELECT cleaned, kept, next FROM partitions WHERE id = ?", (located.id,)
                    ).fetchone()
                if following - cleaned < (max(MIN_DIRTY, kept) if min_dirty is None else max(1, min_dirty)):
                    return False
                compaction = Compaction(f"{topic}[{partition}]", located.id, cleaned, following)
                self._compactions[located.id] = compaction
            if compaction.step(self._database, max_records, forget_before):
                return True
            del self._compactions[located.id]
            return False

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        located = self._located(topic, partition)
        with self._database.reading() as db:
            first, following = db.execute("SELECT first, next FROM partitions WHERE id = ?", (located.id,)).fetchone()
        return first, following

    def _located(self, topic: str, partition: int) -> _Partition:
        """A partition's row: looked up once, it never changes."""
        located = self._partitions.get((topic, partition))
        if located is None:
            with self._database.reading() as db:
                row = db.execute(
                    "SELECT id, compacted FROM partitions JOIN topics ON name = topic WHERE name = ? AND number = ?",
                    (topic, partition),
                ).fetchone()
            if row is None:
                raise NoSuchPartition(f"{topic}[{partition}]: there is no such partition: create the topic first")
            located = self._partitions[topic, partition] = _Partition(row[0], bool(row[1]))
        return located


def _described(partitions: int, compacted: bool) -> str:
    return f"{partitions} partitions{', compacted' if compacted else ''}"
