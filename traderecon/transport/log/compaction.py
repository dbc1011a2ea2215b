"""Compaction: keeps only the newest record of each key in a compacted partition.

    map: every key written since the last pass -> its newest offset
    sweep: rewrite the partition from its beginning without superseded records and old tombstones

Runs in bounded steps, each one transaction, between other writes. Oldest records first: a tombstone is removed only
after every record it deletes. If a pass stops at any step, the partition still replays to the same rows; the next pass
starts over. Offsets do not change, and the last record stays, so that readers always reach the end.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from traderecon.transport.log.batches import MAX_BYTES, MAX_RECORDS, Record, pack, unpack
from traderecon.transport.log.database import INSERT, Database, batch_key

MAX_KEYS = 1_000_000
"""Maximum number of keys in memory; further records are left to the next pass."""
STEP_BYTES = 8 * MAX_BYTES

BATCHES = """
    SELECT place, checksum, content FROM batches
    WHERE place >= ? AND place < ? ORDER BY place
"""
REMOVE = "DELETE FROM batches WHERE place = ?"


class _Chunk(NamedTuple):
    """Consecutive batches: their row ids, records and bytes. ``final``: no batch follows."""

    row_ids: Sequence[int]
    records: Sequence[Record]
    size: int
    final: bool

    @property
    def sparse(self) -> bool:
        """Whether the records would fit into half as many batches."""
        half = len(self.row_ids) // 2
        return len(self.records) <= half * MAX_RECORDS and self.size <= half * MAX_BYTES


class Compaction:
    """One pass over one partition. ``cleaned``: where the last pass ended; ``end``: where the log ends now."""

    def __init__(self, where: str, partition: int, cleaned: int, end: int) -> None:
        self._where = where
        self._partition = partition
        self._newest: dict[bytes | None, int] = {}
        self._mapped_to = cleaned
        self._swept_to = 0
        self._kept_count = 0
        self._end = end  # always between two batches

    def step(self, database: Database, max_records: int, forget_before: int) -> bool:
        """Process about ``max_records`` records; True while work is left. Drops tombstones below ``forget_before``."""
        if self._mapped_to < self._end:
            self._map(database, max_records)
            return True
        return self._sweep(database, max_records, forget_before)

    def _map(self, database: Database, max_records: int) -> None:
        with database.reading() as db:
            chunk = self._read(db, self._mapped_to, max_records)
        self._newest.update((record.key, record.offset) for record in chunk.records)
        self._mapped_to = self._end if chunk.final else chunk.records[-1].offset + 1
        if len(self._newest) >= MAX_KEYS:
            self._end = self._mapped_to

    def _sweep(self, database: Database, max_records: int, forget_before: int) -> bool:
        with database.writing() as db:
            chunk = self._read(db, self._swept_to, max_records)
            (log_end,) = db.execute("SELECT next FROM partitions WHERE id = ?", (self._partition,)).fetchone()
            forget_before = min(forget_before, log_end - 1)
            remaining = [record for record in chunk.records if self._is_kept(record, forget_before)]
            if len(remaining) < len(chunk.records) or chunk.sparse:
                db.executemany(REMOVE, ((row_id,) for row_id in chunk.row_ids))
                db.executemany(INSERT, ((batch_key(self._partition, last), *batch) for last, *batch in pack(remaining)))
            if chunk.final:
                db.execute(
                    "UPDATE partitions SET cleaned = ?, kept = ? WHERE id = ?",
                    (self._end, self._kept_count + len(remaining), self._partition),
                )
        if chunk.final:
            return False
        self._kept_count += len(remaining)
        self._swept_to = chunk.records[-1].offset + 1
        return True

    def _is_kept(self, record: Record, forget_before: int) -> bool:
        if record.value is None and record.offset < forget_before:
            return False
        return record.offset >= self._newest.get(record.key, 0)

    def _read(self, db: sqlite3.Connection, start: int, max_records: int) -> _Chunk:
        row_ids: list[int] = []
        records: list[Record] = []
        size = 0
        span = (batch_key(self._partition, start), batch_key(self._partition, self._end))
        with closing(db.execute(BATCHES, span)) as batches:
            for row_id, checksum, content in batches:
                if len(records) >= max_records or size >= STEP_BYTES:
                    return _Chunk(row_ids, records, size, final=False)
                row_ids.append(row_id)
                records += unpack(self._where, checksum, content)
                size += len(content)
        return _Chunk(row_ids, records, size, final=True)
