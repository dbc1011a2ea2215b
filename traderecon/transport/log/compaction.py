"""Compaction: of each key in a compacted partition only the newest record is needed, so the others go.

    map: every key written since the last pass -> its newest offset
    sweep: the partition from its beginning, without what the map supersedes and without old tombstones

In steps of bounded work, each one transaction, so it runs between other writes. Oldest first: before a tombstone goes,
every record it erases is gone. Stopped at any step, the partition still replays to the same rows; a new pass begins
again. Offsets stay, and so does the last record, so that a reader of old comes to the end.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from traderecon.transport.log.batches import MAX_BYTES, MAX_RECORDS, Record, packed, unpacked
from traderecon.transport.log.database import INSERT, Database, place

MAX_KEYS = 1_000_000
"""Keys held in memory; when there are more, the rest is left to the next pass."""
STEP_BYTES = 8 * MAX_BYTES

BATCHES = """
    SELECT place, checksum, content FROM batches
    WHERE place >= ? AND place < ? ORDER BY place
"""
REMOVE = "DELETE FROM batches WHERE place = ?"


class _Stretch(NamedTuple):
    """Batches in a row: their places, their records, their bytes. ``final``: no other one follows."""

    places: Sequence[int]
    records: Sequence[Record]
    size: int
    final: bool

    @property
    def loose(self) -> bool:
        """Whether they would fit in half as many."""
        halves = len(self.places) // 2
        return len(self.records) <= halves * MAX_RECORDS and self.size <= halves * MAX_BYTES


class Compaction:
    """One pass over one partition. ``cleaned``: where the last pass ended; ``end``: where the log ends now."""

    def __init__(self, where: str, partition: int, cleaned: int, end: int) -> None:
        self._where = where
        self._partition = partition
        self._newest: dict[bytes | None, int] = {}
        self._mapped = cleaned
        self._swept = 0
        self._kept = 0
        self._end = end  # always between two batches

    def step(self, database: Database, max_records: int, forget_before: int) -> bool:
        """Look at about so many records; True while there is more to do. Tombstones below ``forget_before`` go."""
        if self._mapped < self._end:
            self._map(database, max_records)
            return True
        return self._sweep(database, max_records, forget_before)

    def _map(self, database: Database, max_records: int) -> None:
        with database.reading() as db:
            stretch = self._stretch(db, self._mapped, max_records)
        self._newest.update((record.key, record.offset) for record in stretch.records)
        self._mapped = self._end if stretch.final else stretch.records[-1].offset + 1
        if len(self._newest) >= MAX_KEYS:
            self._end = self._mapped

    def _sweep(self, database: Database, max_records: int, forget_before: int) -> bool:
        with database.writing() as db:
            stretch = self._stretch(db, self._swept, max_records)
            (following,) = db.execute("SELECT next FROM partitions WHERE id = ?", (self._partition,)).fetchone()
            forget_before = min(forget_before, following - 1)
            kept = [record for record in stretch.records if self._stays(record, forget_before)]
            if len(kept) < len(stretch.records) or stretch.loose:
                db.executemany(REMOVE, ((at,) for at in stretch.places))
                db.executemany(INSERT, ((place(self._partition, last), *batch) for last, *batch in packed(kept)))
            if stretch.final:
                db.execute(
                    "UPDATE partitions SET cleaned = ?, kept = ? WHERE id = ?",
                    (self._end, self._kept + len(kept), self._partition),
                )
        if stretch.final:
            return False
        self._kept += len(kept)
        self._swept = stretch.records[-1].offset + 1
        return True

    def _stays(self, record: Record, forget_before: int) -> bool:
        if record.value is None and record.offset < forget_before:
            return False
        return record.offset >= self._newest.get(record.key, 0)

    def _stretch(self, db: sqlite3.Connection, start: int, max_records: int) -> _Stretch:
        places: list[int] = []
        records: list[Record] = []
        size = 0
        span = (place(self._partition, start), place(self._partition, self._end))
        with closing(db.execute(BATCHES, span)) as batches:
            for at, checksum, content in batches:
                if len(records) >= max_records or size >= STEP_BYTES:
                    return _Stretch(places, records, size, final=False)
                places.append(at)
                records += unpacked(self._where, checksum, content)
                size += len(content)
        return _Stretch(places, records, size, final=True)
