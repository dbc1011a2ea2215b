"""The notary: what each chain has come to, read from what is committed, whenever it has moved.

due(places) -> Checkpoint, ...          one read transaction; a chain that stands still has been told already
"""

import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import UNSET
from sqlalchemy import Engine

from traderecon.audit.checkpoint_files import read
from traderecon.audit.links import table_of
from traderecon.records.checkpoint import Checkpoint, Place
from traderecon.sink.chain import START

_OFFSETS = "SELECT topic, partition, next_offset, head FROM sink_offsets"
_START = "SELECT rows, last_row FROM chain_starts WHERE topic = ? AND partition = ?"
_ID = "SELECT database_id FROM database_ids ORDER BY id DESC LIMIT 1"
_FIRST = "SELECT first_offset FROM beginnings WHERE topic = ? AND partition = ?"
_IS_HEAD = 'SELECT 1 FROM {table} WHERE id = ? AND topic = ? AND partition = ? AND chain = ? AND "offset" < ?'
_BEHIND = "SELECT count(*), max(id) FROM {table} WHERE id > ? AND topic = ? AND partition = ?"


class Checkpointer:
    """Reads the database of ``engine``; ``path`` is the file of what it has told before, which need not be there.

    The rows of a chain are counted from its last checkpoint on, where the database still has that one, else from the
    start: so it counts a long history once, not at every start.
    """

    def __init__(
        self,
        engine: Engine,
        path: Path,
        now: Callable[[], str],
        sign: Callable[[Checkpoint], Checkpoint] = lambda checkpoint: checkpoint,
    ) -> None:
        self._engine = engine
        self._path = path
        self._now = now
        self._sign = sign
        self._told: dict[Place, Checkpoint] | None = None

    def due(self, places: Collection[Place], *, first_only: bool = False) -> list[Checkpoint]:
        """A checkpoint of each of these chains that has moved since ``told`` last. DatabaseError; OSError: the file.

        ``first_only``: only of those with rows that have none yet.
        """
        if self._told is None:
            known = read([self._path] if self._path.exists() else [])
            self._told = {place: chain[-1] for place, chain in known.chains.items()}
        with closing(self._engine.raw_connection()) as connection:
            cursor: Any = connection.cursor()
            cursor.execute("BEGIN")
            try:
                cursor.execute(_OFFSETS)
                found = {(row[0], row[1]): (row[2], row[3]) for row in cursor.fetchall()}
                return [
                    self._checkpoint(cursor, place, *found[place])
                    for place in sorted(places)
                    if place in found and table_of(place[0]) is not None and self._moved(place, *found[place])
                    if not first_only or (place not in (self._told or {}) and found[place][1] != START)
                ]
            finally:
                cursor.execute("ROLLBACK")

    def told(self, checkpoints: Collection[Checkpoint]) -> None:
        """These are durable: the next ones follow them."""
        self._told = {**(self._told or {}), **{one.place: one for one in checkpoints}}

    @staticmethod
    def _start(cursor: sqlite3.Cursor, place: Place) -> tuple[int, int]:
        """How many rows were purged, and the id of the last of them."""
        cursor.execute(_START, place)
        found = cursor.fetchone()
        return (0, 0) if found is None else (found[0], found[1])

    def _moved(self, place: Place, next_offset: int, head: str) -> bool:
        before = (self._told or {}).get(place)
        return before is None or (before.next_offset, before.head) != (next_offset, head)

    def _checkpoint(self, cursor: sqlite3.Cursor, place: Place, next_offset: int, head: str) -> Checkpoint:
        table = table_of(place[0])
        rows, last = self._start(cursor, place)
        before = (self._told or {}).get(place)
        if before is not None and before.rows:
            mine = (before.last_row, *place, before.head, before.next_offset)
            if cursor.execute(_IS_HEAD.format(table=table), mine).fetchone():
                rows, last = before.rows, before.last_row
        more, newest = cursor.execute(_BEHIND.format(table=table), (last, *place)).fetchone()
        first = cursor.execute(_FIRST, place).fetchone()
        database = cursor.execute(_ID).fetchone()
        told = Checkpoint(
            *(*place, next_offset, head, rows + more, newest or last, self._now()),
            first=UNSET if first is None else first[0],
            database=UNSET if database is None else database[0],
        )
        return self._sign(told)
