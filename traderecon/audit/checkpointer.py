"""The checkpointer: a checkpoint of every chain that has changed since its last one, from committed rows.

due(tps) -> Checkpoint, ...          one read transaction
"""

import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import UNSET
from sqlalchemy import Engine

from traderecon.audit.checkpoint_files import read
from traderecon.audit.database import bound_topics
from traderecon.audit.links import table_of
from traderecon.records.checkpoint import Checkpoint, TopicPartition
from traderecon.sink.chain import START

_OFFSETS = "SELECT topic, partition, next_offset, head FROM sink_offsets"
_START = "SELECT rows, last_row FROM chain_starts WHERE topic = ? AND partition = ?"
_ID = "SELECT database_id FROM database_ids ORDER BY id DESC LIMIT 1"
_FIRST = "SELECT first_offset FROM beginnings WHERE topic = ? AND partition = ?"
_IS_HEAD = 'SELECT 1 FROM {table} WHERE id = ? AND topic = ? AND partition = ? AND chain = ? AND "offset" < ?'
_ROWS_AFTER = "SELECT count(*), max(id) FROM {table} WHERE id > ? AND topic = ? AND partition = ?"


class Checkpointer:
    """Reads the database of ``engine``; ``path`` is the file of earlier checkpoints, which need not exist.

    The rows of a chain are counted from its last checkpoint if that is of this database, otherwise from the start: so a
    long history is counted once, not at every start.
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
        self._published: dict[TopicPartition, Checkpoint] | None = None

    def due(self, tps: Collection[TopicPartition], *, first_only: bool = False) -> list[Checkpoint]:
        """Checkpoints of the chains that have changed since the last published one. DatabaseError; OSError: the file.

        ``first_only``: only of chains that have rows and no checkpoint yet.
        """
        if self._published is None:
            stored = read([self._path] if self._path.exists() else [])
            self._published = {tp: chain[-1] for tp, chain in stored.chains.items()}
        with closing(self._engine.raw_connection()) as connection:
            cursor: Any = connection.cursor()
            cursor.execute("BEGIN")
            try:
                names = bound_topics(cursor)
                cursor.execute(_OFFSETS)
                positions = {(row[0], row[1]): (row[2], row[3]) for row in cursor.fetchall()}
                checkpoints = []
                for tp in sorted(tps):
                    table = table_of(names, tp[0])
                    if table is None or tp not in positions:
                        continue
                    next_offset, head = positions[tp]
                    if first_only and (tp in self._published or head == START):
                        continue
                    if self._has_changed(tp, next_offset, head):
                        checkpoints.append(self._checkpoint(cursor, table, tp, next_offset, head))
                return checkpoints
            finally:
                cursor.execute("ROLLBACK")

    def mark_published(self, checkpoints: Collection[Checkpoint]) -> None:
        """Note that these are durable: the next ones follow them."""
        self._published = {**(self._published or {}), **{checkpoint.tp: checkpoint for checkpoint in checkpoints}}

    @staticmethod
    def _start(cursor: sqlite3.Cursor, tp: TopicPartition) -> tuple[int, int]:
        """The number of purged rows, and the id of the last one."""
        cursor.execute(_START, tp)
        row = cursor.fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def _has_changed(self, tp: TopicPartition, next_offset: int, head: str) -> bool:
        last = (self._published or {}).get(tp)
        return last is None or (last.next_offset, last.head) != (next_offset, head)

    def _checkpoint(
        self, cursor: sqlite3.Cursor, table: str, tp: TopicPartition, next_offset: int, head: str
    ) -> Checkpoint:
        rows, last_row = self._start(cursor, tp)
        last = (self._published or {}).get(tp)
        if last is not None and last.rows:
            coordinates = (last.last_row, *tp, last.head, last.next_offset)
            if cursor.execute(_IS_HEAD.format(table=table), coordinates).fetchone():
                rows, last_row = last.rows, last.last_row
        more, newest = cursor.execute(_ROWS_AFTER.format(table=table), (last_row, *tp)).fetchone()
        first = cursor.execute(_FIRST, tp).fetchone()
        database = cursor.execute(_ID).fetchone()
        checkpoint = Checkpoint(
            *(*tp, next_offset, head, rows + more, newest or last_row, self._now()),
            first=UNSET if first is None else first[0],
            database=UNSET if database is None else database[0],
        )
        return self._sign(checkpoint)
