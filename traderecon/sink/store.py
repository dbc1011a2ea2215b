"""The store: every record of the outputs becomes rows once, in one transaction with the offset to read on from.

    MicroBatch -> BEGIN IMMEDIATE -> is the offset still ours? -> rows, history, chain, next offset -> COMMIT -> Taken

A batch that comes again, whole or in part, changes nothing; one cut off in the middle has never been there. Where two
sinks write, the one that was overtaken finds another offset than it left, and stops: ``Fenced``.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, IntegrityError

from traderecon.exit_codes import Exit
from traderecon.sink.actions import take_actions
from traderecon.sink.chain import START
from traderecon.sink.database import (
    SHRINK_EVERY_S,
    SHRINK_MS,
    WAL_BYTES,
    StoreError,
    existing,
    explained,
    gathered,
    opened,
    readers,
    require_in_place,
    wal_bytes,
)
from traderecon.sink.database_id import found_id, renewed
from traderecon.sink.dead_letters import take_dead_letters
from traderecon.sink.ledger import take_accounts
from traderecon.sink.log_identity import belongs, pinned
from traderecon.sink.migration import current, head, upgrade
from traderecon.sink.partition_status import take_statuses
from traderecon.sink.purge import ChainStart, put_start
from traderecon.sink.results import take_results
from traderecon.sink.statements import statements
from traderecon.sink.write_result import Feed, WriteResult, at
from traderecon.transport import MicroBatch
from traderecon.transport.failpoints import Failpoint, hit

Place = tuple[str, int]
"""A topic and a partition."""

NOTHING = WriteResult()
HISTORIES = ("reconciled", "mismatch", "dead_letters", "actions")
"""How the topics end whose messages are all kept."""

_OFFSETS = "SELECT topic, partition, next_offset FROM sink_offsets"
_USED = "SELECT EXISTS (SELECT 1 FROM sink_offsets)"
_POSITION = "SELECT next_offset, head FROM sink_offsets WHERE topic = ? AND partition = ?"


class Fenced(Exception):
    """Another sink has written to a partition that this one thought was its own."""


class _Position(NamedTuple):
    """Where a partition is read on, and the last link of its chain."""

    next_offset: int
    head: str


class Store:
    """The database of results. One thread at a time takes batches; who reads beside it uses ``readers``.

    So there is one connection that writes, and one cache of the size it needs.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.readers = readers(engine)
        self._writing = engine.execution_options(writes=True)
        self._sql = statements()
        self._next: dict[Place, int] | None = None
        self._shrunk_s = 0.0
        self._earliest: dict[Place, int] = {}

    @classmethod
    def open(cls, url: str) -> Self:
        """Open ``sqlite:///path``. StoreError says what is in the way."""
        return cls(opened(url))

    @classmethod
    def existing(cls, url: str) -> Self:
        """Open the database that is there. StoreError where there is none (4): nothing is made."""
        return cls(existing(url))

    def close(self) -> None:
        """Close every connection, and leave what was taken in the file itself. A second time does nothing."""
        self.readers.dispose()
        if self._next is not None:
            self._next = None
            # Where that fails, all of it is in the log beside the file: whoever opens it next moves it.
            with suppress(sqlite3.DatabaseError):
                gathered(self.engine)
        self.engine.dispose()

    @property
    def path(self) -> str:
        """The file."""
        return self.engine.url.database or ""

    def ready(self) -> None:
        """Make the tables in an empty database; StoreError for one that is not at the newest migration (78)."""
        with self._explained():
            at, newest = current(self.engine), head()
            if at is None:
                upgrade(self.engine)
            elif at != newest:
                raise StoreError(
                    Exit.CONFIG,
                    f"{self.path}: its tables are at migration {at}, this version works with {newest}: run "
                    "`traderecon db upgrade`",
                )

    def pin(self, cluster: str, topic_prefix: str) -> bool:
        """Have the database belong to a log; True where it was in use before anybody noted which.

        StoreError: it belongs to another one (78). Every sink asks before it asks for offsets.
        """
        with self._explained():
            if self.belongs(cluster, topic_prefix):
                return False
            with self._writing.begin() as connection:
                return pinned(connection, self.path, cluster, topic_prefix)

    def belongs(self, cluster: str, topic_prefix: str) -> bool:
        """Whether the database is known to be of this log. StoreError: it belongs to another one (78)."""
        with self._explained(), self.engine.connect() as connection:
            return belongs(connection, self.path, cluster, topic_prefix)

    def database_id(self) -> str | None:
        """The id in force; None where none was drawn."""
        with self._explained(), self.engine.connect() as connection:
            return found_id(connection)

    def renew_id(self, reason: str, at: str) -> str:
        """Draw a new id, for a reason, at a time (ISO 8601 UTC). Before the first batch is taken."""
        with self._explained(), self._writing.begin() as connection:
            return renewed(connection, reason, at)

    def complete_from(self) -> str | None:
        """Since when every history is complete (ISO 8601 UTC); None: from the first message on."""
        with self._explained(), self.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT max(complete_from) FROM beginnings").scalar_one()
        return None if found is None else str(found)

    def migration(self) -> str | None:
        """The migration its tables are at; None: there are none of ours."""
        with self._explained():
            return current(self.engine)

    def upgrade(self) -> None:
        """Run the migrations that are missing; StoreError for tables of something else, or of a newer version (78)."""
        with self._explained():
            upgrade(self.engine)

    def offsets(self) -> dict[Place, int]:
        """The next offset of every partition; from here on this store takes batches from there."""
        with self._explained(), self.engine.connect() as connection:
            found = connection.exec_driver_sql(_OFFSETS).all()
        self._next = {(topic, partition): next_offset for topic, partition, next_offset in found}
        return dict(self._next)

    def require_in_place(self) -> None:
        """StoreError where the file was removed or replaced since it was opened: what is written goes nowhere."""
        with self._explained(), self.engine.connect() as connection:
            connection.exec_driver_sql(_USED).first()
            require_in_place(connection, self.path)

    def begins(self, earliest: Mapping[Any, int | None]) -> Mapping[Place, int]:
        """Take note of the first offset the log still has, of partitions that are new to this database; gives them."""
        self._earliest.update({(topic, partition): first or 0 for (topic, partition), first in earliest.items()})
        return self._earliest

    def starts(self, start: ChainStart) -> None:
        """Begin a chain of an empty database where another one's was purged: what is before has gone."""
        place = (start.topic, start.partition)
        with self._explained(), self._writing.begin() as connection:
            connection.exec_driver_sql(self._sql.position.rows(1), (*place, start.next_offset, start.head))
            put_start(connection, start._replace(last_row=0))
        self._next = {**(self._next or {}), place: start.next_offset}

    def take(self, batch: MicroBatch, aside: Collection[int] = ()) -> WriteResult:
        """Write what is new in a batch, all of it or nothing; gives what came of it.

        ``aside``: offsets of records to pass over. Offsets may have holes. Fenced: another sink wrote meanwhile.
        ForeignRecord: a record that the topic must not carry.
        """
        if self._next is None:
            self._next = self.offsets()
        place = (batch.topic, batch.partition)
        expected = self._next.get(place)
        records = [record for record in batch if expected is None or record.offset >= expected]
        if not records:
            return NOTHING
        hit(Failpoint.SINK_BEGIN, batch.topic)
        with self._explained(), self._writing.begin() as connection:
            hit(Failpoint.SINK_BEGUN, batch.topic)
            require_in_place(connection, self.path)
            position = _claimed(connection, place, expected)
            wanted = [record for record in records if record.offset not in aside] if aside else records
            taken, head = self._take(connection, Feed(*place, wanted, position.head))
            first = self._earliest.get(place, 0) if expected is None else 0
            if first and batch.topic.endswith(HISTORIES):
                # What was before has expired: the history of this partition is complete from here on.
                connection.exec_driver_sql(self._sql.beginning.rows(1), (*place, first, at(records[0])))
            connection.exec_driver_sql(self._sql.position.rows(1), (*place, batch.last_offset + 1, head))
            hit(Failpoint.SINK_WRITTEN, batch.topic)
        self._next[place] = batch.last_offset + 1
        hit(Failpoint.SINK_COMMITTED, batch.topic)
        self._shrink()
        return taken

    def _shrink(self) -> None:
        """Cut off the log of the file where a long reader has made it long and is gone by now."""
        if wal_bytes(self.path) <= WAL_BYTES or monotonic() - self._shrunk_s < SHRINK_EVERY_S:
            return
        with suppress(sqlite3.OperationalError):  # somebody else writes: it is tried again
            gathered(self.engine, SHRINK_MS)
        self._shrunk_s = monotonic()

    def _take(self, connection: Connection, feed: Feed) -> tuple[WriteResult, str]:
        # No name of these ends another, so whatever the prefix is, one fits.
        if feed.topic.endswith("mismatch"):
            return take_results(connection, self._sql, feed, breaks=True)
        if feed.topic.endswith("reconciled"):
            return take_results(connection, self._sql, feed, breaks=False)
        if feed.topic.endswith("dead_letters"):
            return take_dead_letters(connection, self._sql, feed)
        if feed.topic.endswith("standings"):
            return take_statuses(connection, self._sql, feed)
        if feed.topic.endswith("accounts"):
            return take_accounts(connection, self._sql, feed)
        if feed.topic.endswith("actions"):
            return take_actions(connection, self._sql, feed)
        raise ValueError(f"{feed.topic} is none of the topics a sink reads")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the database refuses is a StoreError; what its constraints refuse is a bug."""
        try:
            yield
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise explained(self.path, error.orig) from error
        except sqlite3.DatabaseError as error:  # while it connects
            raise explained(self.path, error) from error


def _claimed(connection: Connection, place: Place, expected: int | None) -> _Position:
    row = connection.exec_driver_sql(_POSITION, place).first()
    found = None if row is None else row[0]
    if found != expected:
        topic, partition = place
        raise Fenced(
            f"{topic}[{partition}]: this sink left it at offset {expected or 0}, the database says {found or 0}: "
            "another sink has it now, and this one stops"
        )
    return _Position(0, START) if row is None else _Position(*row)
