"""The store: each record of the outputs becomes rows once, in one transaction with the next offset to read.

    MicroBatch -> BEGIN IMMEDIATE -> offset as expected? -> rows, history, chain, next offset -> COMMIT -> WriteResult

Repeating a batch, whole or in part, changes nothing; a batch that is interrupted leaves no trace. If two sinks write,
the one that was overtaken finds an offset it does not expect, and stops: ``Fenced``.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, NotSupportedError, ProgrammingError

from traderecon.exit_codes import Exit
from traderecon.records.checkpoint import TopicPartition
from traderecon.records.formats import OtherFormat
from traderecon.sink import log_identity
from traderecon.sink.actions import write_actions
from traderecon.sink.chain import START, chained_topics
from traderecon.sink.columns import BeginningColumns, OffsetColumns
from traderecon.sink.database import (
    TRUNCATE_EVERY_S,
    TRUNCATE_WAIT_MS,
    WAL_BYTES,
    OpenFiles,
    StoreError,
    checkpoint_wal,
    moved,
    open_engine,
    open_existing_engine,
    reader_engine,
    require_in_place,
    to_store_error,
    wal_bytes,
)
from traderecon.sink.database_id import current_id, renew_id
from traderecon.sink.dead_letters import write_dead_letters
from traderecon.sink.decoding import FailingRecord, RecordError
from traderecon.sink.ledger import write_accounts
from traderecon.sink.migration import current, head, upgrade
from traderecon.sink.partition_status import write_statuses
from traderecon.sink.purge import ChainStart, save_chain_start
from traderecon.sink.results import write_results
from traderecon.sink.statements import Statements, statements
from traderecon.sink.write_result import Feed, WriteResult, appended_at
from traderecon.topics import Topics, topics
from traderecon.transport import MicroBatch, Record
from traderecon.transport.failpoints import Failpoint, hit

Writer = Callable[[Connection, Statements, Feed], tuple[WriteResult, str]]
"""Writes the records of one topic; returns what was written and the new head of the chain."""

NOTHING_WRITTEN = WriteResult()

_OFFSETS = "SELECT topic, partition, next_offset FROM sink_offsets"
_HAS_OFFSETS = "SELECT EXISTS (SELECT 1 FROM sink_offsets)"
_POSITION = "SELECT next_offset, head FROM sink_offsets WHERE topic = ? AND partition = ?"


class Fenced(Exception):
    """Another sink has written to a partition of this one, or the database was replaced."""


_OF_A_VALUE = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""Errors of the database that a value causes. Any other is the database's own: full, locked, removed, damaged."""
_OF_NO_RECORD = (Fenced, StoreError, OtherFormat, MemoryError, OSError)
"""Errors for which no record is to blame, whatever was being written."""


class _Position(NamedTuple):
    """The next offset to read of a partition, and the last link of its chain."""

    next_offset: int
    head: str


class Store:
    """The database of results. Batches are taken by one thread at a time; concurrent reads use ``readers``.

    So there is one writing connection, with one cache of the size it needs.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.readers = reader_engine(engine)
        self._writing = engine.execution_options(writes=True)
        self._sql = statements()
        self._topics: Topics | None = None
        self._next: dict[TopicPartition, int] | None = None
        self._truncated_s = 0.0
        self._files: OpenFiles = {}
        self._earliest: dict[TopicPartition, int] = {}

    @classmethod
    def open(cls, url: str) -> Self:
        """Open ``sqlite:///path``. StoreError: it cannot be used, and why."""
        return cls(open_engine(url))

    @classmethod
    def existing(cls, url: str) -> Self:
        """Open an existing database. StoreError (4): there is none, and none is created."""
        return cls(open_existing_engine(url))

    def close(self) -> None:
        """Close every connection, with all committed rows moved into the database file. Idempotent."""
        self.readers.dispose()
        if self._next is not None:
            self._next = None
            # If this fails, the rows are in the WAL beside the file: the next process to open it moves them.
            with suppress(sqlite3.DatabaseError):
                checkpoint_wal(self.engine)
        self.engine.dispose()

    @property
    def path(self) -> str:
        """The database file."""
        return self.engine.url.database or ""

    def prepare(self) -> None:
        """Create the tables in an empty database. StoreError (78): the database is not at the newest migration."""
        with self._store_errors():
            revision, newest = current(self.engine), head()
            if revision is None:
                upgrade(self.engine)
            elif revision != newest:
                raise StoreError(
                    Exit.CONFIG,
                    f"{self.path}: its tables are at migration {revision}, this version works with {newest}: run "
                    "`traderecon db upgrade`",
                )

    def bind(self, cluster: str, topic_prefix: str) -> bool:
        """Bind the database to a log; True if it was in use before its log was recorded.

        StoreError (78): it is bound to another log. Every sink calls this before it reads the offsets.
        """
        with self._store_errors():
            if self.belongs_to(cluster, topic_prefix):
                return False
            with self._writing.begin() as connection:
                had_offsets = log_identity.bind(connection, self.path, cluster, topic_prefix)
        self._topics = topics(topic_prefix)
        return had_offsets

    def belongs_to(self, cluster: str, topic_prefix: str) -> bool:
        """Whether the database is bound to this log. StoreError (78): it is bound to another one."""
        with self._store_errors(), self.engine.connect() as connection:
            return log_identity.is_bound(connection, self.path, cluster, topic_prefix)

    def database_id(self) -> str | None:
        """The id in force; None if the database has none."""
        with self._store_errors(), self.engine.connect() as connection:
            return current_id(connection)

    def renew_id(self, reason: str, at: str) -> str:
        """Generate a new id; ``at`` is ISO 8601 UTC. To be called before the first batch is taken."""
        with self._store_errors(), self._writing.begin() as connection:
            return renew_id(connection, reason, at)

    def complete_from(self) -> str | None:
        """The time from which every history is complete (ISO 8601 UTC); None: from the first message on."""
        with self._store_errors(), self.engine.connect() as connection:
            complete_from = connection.exec_driver_sql("SELECT max(complete_from) FROM beginnings").scalar_one()
        return None if complete_from is None else str(complete_from)

    def migration(self) -> str | None:
        """The migration its tables are at; None: there are no tables."""
        with self._store_errors():
            return current(self.engine)

    def upgrade(self) -> None:
        """Run the missing migrations. StoreError (78): the tables belong to another program or a newer version."""
        with self._store_errors():
            upgrade(self.engine)

    def offsets(self) -> dict[TopicPartition, int]:
        """The next offset of every partition; from now on this store expects batches to continue there."""
        with self._store_errors(), self.engine.connect() as connection:
            rows = connection.exec_driver_sql(_OFFSETS).all()
        self._next = {(topic, partition): next_offset for topic, partition, next_offset in rows}
        return dict(self._next)

    def require_in_place(self) -> None:
        """StoreError if the file was removed or replaced since it was opened: anything written would be lost."""
        with self._store_errors(), self.engine.connect() as connection:
            connection.exec_driver_sql(_HAS_OFFSETS).first()
            self._files = require_in_place(connection, self.path)

    def to_store_error(self, error: DatabaseError | sqlite3.DatabaseError) -> StoreError:
        """An error of the database, also one of ``readers``, as a StoreError.

        If the files were removed, SQLite may say "disk I/O error" in a connection that was opened since.
        """
        if reason := moved(self._files, self.path):
            return StoreError(Exit.UNREACHABLE, reason)
        return to_store_error(self.path, getattr(error, "orig", error))

    def note_earliest(self, earliest: Mapping[Any, int | None]) -> Mapping[TopicPartition, int]:
        """Note the earliest offsets in the log of partitions that are new to this database; returns all noted ones."""
        self._earliest.update({(topic, partition): first or 0 for (topic, partition), first in earliest.items()})
        return self._earliest

    def start_chain(self, start: ChainStart) -> None:
        """Start a chain of an empty database where the chain of another database starts after a purge."""
        tp = (start.topic, start.partition)
        with self._store_errors(), self._writing.begin() as connection:
            connection.exec_driver_sql(self._sql.position.rows(1), OffsetColumns(*tp, start.next_offset, start.head))
            save_chain_start(connection, start._replace(last_row=0))
        self._next = {**(self._next or {}), tp: start.next_offset}

    def take(self, batch: MicroBatch, skip: Collection[int] = ()) -> WriteResult:
        """Write what is new in a batch, all of it or nothing.

        ``skip``: offsets of records to leave out. Offsets may have gaps. Fenced: another sink has written meanwhile.
        ForeignRecord: a record that the topic must not carry. FailingRecord: a record that cannot be written.
        """
        if self._next is None:
            self._next = self.offsets()
        tp = (batch.topic, batch.partition)
        expected = self._next.get(tp)
        records = [record for record in batch if expected is None or record.offset >= expected]
        if not records:
            return NOTHING_WRITTEN
        hit(Failpoint.SINK_BEGIN, batch.topic)
        accepted = [record for record in records if record.offset not in skip] if skip else records
        first = self._earliest.get(tp, 0) if expected is None else 0
        with self._store_errors():
            try:
                with self._writing.begin() as connection:
                    hit(Failpoint.SINK_BEGUN, batch.topic)
                    result, head = self._write(connection, tp, expected, accepted)
                    if first and batch.topic in chained_topics(self._bound_topics(connection)):
                        # Earlier records have expired: the history of this partition is complete from here on.
                        connection.exec_driver_sql(
                            self._sql.beginning.rows(1), BeginningColumns(*tp, first, appended_at(records[0]))
                        )
                    connection.exec_driver_sql(
                        self._sql.position.rows(1), OffsetColumns(*tp, batch.last_offset + 1, head)
                    )
                    hit(Failpoint.SINK_WRITTEN, batch.topic)
            except Exception as error:
                if _may_be_of_a_record(error) and (record := self._failing_record(tp, expected, accepted)) is not None:
                    raise FailingRecord(*tp, record, getattr(error, "orig", error)) from error
                raise
        self._next[tp] = batch.last_offset + 1
        hit(Failpoint.SINK_COMMITTED, batch.topic)
        self._truncate_wal()
        return result

    def _truncate_wal(self) -> None:
        """Truncate the WAL if a long-running reader, gone by now, has made it grow."""
        if wal_bytes(self.path) <= WAL_BYTES or monotonic() - self._truncated_s < TRUNCATE_EVERY_S:
            return
        with suppress(sqlite3.OperationalError):  # another process is writing: it is tried again later
            checkpoint_wal(self.engine, TRUNCATE_WAIT_MS)
        self._truncated_s = monotonic()

    def require_undamaged(self) -> None:
        """StoreError (78): the file is damaged, so an error on a record may not be the record's. Reads the whole file.

        Call it before a FailingRecord is given up.
        """
        with self._store_errors(), self.readers.connect() as connection:
            found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
        if found != "ok":
            raise StoreError(
                Exit.CONFIG,
                f"{self.path}: the file is damaged ({found}): run `traderecon audit verify`, then restore a backup or "
                "run `traderecon db rebuild`",
            )

    def _write(
        self, connection: Connection, tp: TopicPartition, expected: int | None, records: Sequence[Record]
    ) -> tuple[WriteResult, str]:
        self._files = require_in_place(connection, self.path)
        position = _claim(connection, tp, expected)
        return self._take(connection, Feed(*tp, records, position.head))

    def _take(self, connection: Connection, feed: Feed) -> tuple[WriteResult, str]:
        write = _writers(self._bound_topics(connection)).get(feed.topic)
        if write is None:
            raise ValueError(f"{feed.topic} is not a topic that a sink reads")
        return write(connection, self._sql, feed)

    def _failing_record(self, tp: TopicPartition, expected: int | None, records: Sequence[Record]) -> Record | None:
        """The record that makes these fail: those before it can be written, with it they cannot.

        None if no record is to blame: nothing at all can be written, or this time everything can. Writes nothing.
        """
        if not records or self._fails(tp, expected, ()) or not self._fails(tp, expected, records):
            return None
        written, failed = 0, len(records)
        while failed - written > 1:
            middle = (written + failed) // 2
            if self._fails(tp, expected, records[:middle]):
                failed = middle
            else:
                written = middle
        return records[failed - 1]

    def _fails(self, tp: TopicPartition, expected: int | None, records: Sequence[Record]) -> bool:
        """Whether writing these records fails, tried in a transaction that is rolled back."""
        with self._writing.connect() as connection, connection.begin() as transaction:
            try:
                self._write(connection, tp, expected, records)
            except Exception as error:
                if not _may_be_of_a_record(error):
                    raise
                return True
            finally:
                transaction.rollback()
        return False

    def _bound_topics(self, connection: Connection) -> Topics:
        if self._topics is None:
            self._topics = log_identity.bound_topics(connection)
        return self._topics

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn errors of the database into StoreErrors; a violated constraint is a bug and stays as it is."""
        try:
            yield
        except IntegrityError:
            raise
        except (DatabaseError, sqlite3.DatabaseError) as error:  # the latter while connecting
            raise self.to_store_error(error) from error


def _may_be_of_a_record(error: Exception) -> bool:
    if isinstance(error, DatabaseError | sqlite3.DatabaseError):
        return isinstance(error, _OF_A_VALUE)
    return not isinstance(error, (RecordError, *_OF_NO_RECORD))


def _writers(names: Topics) -> Mapping[str, Writer]:
    return {
        names.reconciled: partial(write_results, breaks=False),
        names.mismatch: partial(write_results, breaks=True),
        names.dead_letters: write_dead_letters,
        names.standings: write_statuses,
        names.accounts: write_accounts,
        names.actions: write_actions,
    }


def _claim(connection: Connection, tp: TopicPartition, expected: int | None) -> _Position:
    row = connection.exec_driver_sql(_POSITION, tp).first()
    stored = None if row is None else row[0]
    if stored != expected:
        topic, partition = tp
        expects = "no record of it in the database" if expected is None else f"offset {expected}"
        found = "has none" if stored is None else f"is at offset {stored}"
        raise Fenced(
            f"{topic}[{partition}]: this sink expects {expects}, but the database {found}: another sink has taken over "
            "the partition, or the database was restored while this sink was running. It stops and has written nothing "
            "of this batch: start it again, and it continues where the database is. Before a restore, stop every sink"
        )
    return _Position(0, START) if row is None else _Position(*row)
