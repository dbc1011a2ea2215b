"""Rebuild the database in a new file from the topics alone, and compare it with the old one, chain by chain.

    topics -> Store -> FILE;  at the next offset of the old database, the new one must have the same head

Nothing else writes to the new file, no group commits, and the old one is only read: workers may keep running.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from traderecon.addresses import sqlite_url
from traderecon.audit.backup import Head, publish_file, read_heads, require_new
from traderecon.audit.database import chain_starts, database_file, open_for_audit
from traderecon.audit.links import table_of
from traderecon.client.client import Client
from traderecon.exit_codes import Exit
from traderecon.sink.chain import START
from traderecon.sink.database import StoreError
from traderecon.sink.decoding import RecordError
from traderecon.sink.purge import ChainStart
from traderecon.sink.store import Store
from traderecon.topics import Topics
from traderecon.transport import MicroBatch, Record
from traderecon.transport.errors import NoTopic

_HEAD = "SELECT next_offset, head FROM sink_offsets WHERE topic = ? AND partition = ?"
_DIFFERENT_TIMES = """
    SELECT count(*) FROM old.result_history AS before JOIN main.result_history AS now
    ON before.trade_id = now.trade_id AND before.version = now.version AND before.event_id = now.event_id
    WHERE before.decided_at <> now.decided_at
"""


class ChainComparison(msgspec.Struct, frozen=True):
    """One chain: the old database's next offset, its head, and the new database's head at that offset."""

    topic: str
    partition: int
    next_offset: int
    old: str
    new: str

    @property
    def same(self) -> bool:
        """Whether the topics still lead to the old database's head."""
        return self.old == self.new


class RebuildReport(msgspec.Struct, frozen=True, rename={"ignored": "aside", "reason": "why"}):
    """The outcome: records read, records ``ignored`` because no sink would store them, heads, the comparison.

    ``compared`` is None if no old database could be read, for this ``reason``; ``times``: results whose
    ``decided_at`` is different in the old database.
    """

    file: str
    records: int
    ignored: int
    heads: list[Head]
    compared: list[ChainComparison] | None
    times: int
    reason: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.times and all(chain.same for chain in self.compared or ())


async def rebuild(
    client: Client,
    names: Topics,
    old_url: str,
    file: Path,
    *,
    prefix: str = "",
    advance: Callable[[int], None] = lambda records: None,
) -> RebuildReport:
    """Create ``file`` from the topics. StoreError: it exists, or the beginning of a topic has expired; ClientError."""
    require_new(file)
    old, reason = await asyncio.to_thread(_old_heads, old_url)
    part = file.with_name(file.name + ".part")
    remove_part(part)
    store = Store.open(sqlite_url(part))
    try:
        store.prepare()
        store.bind(await client.cluster_id(), prefix)
        counts = await client.topics()
        starts = await asyncio.to_thread(_old_starts, old_url) if old else {}
        run = _Run(client, names, store, _Old(old or {}, starts), advance)
        for topic in names.outputs:
            if topic not in counts:
                raise NoTopic(f"{client.where} has no topic {topic}: `traderecon topics create` creates missing topics")
            for partition in range(counts[topic]):
                await run.read_partition(topic, partition)
        with store.engine.connect() as connection:
            new = [Head(*row) for row in connection.exec_driver_sql("SELECT * FROM sink_offsets ORDER BY 1, 2")]
        store.close()
        times = await asyncio.to_thread(_different_times, old_url, part) if old is not None else 0
        try:
            publish_file(part, file)
        except OSError as error:
            raise StoreError(Exit.SOFTWARE, f"{file}: cannot be written ({error.strerror})") from error
    finally:
        store.close()
        remove_part(part)
    return RebuildReport(
        str(file), run.records, run.rejected, new, None if old is None else run.compared, times, reason
    )


def remove_part(part: Path) -> None:
    """Remove an unfinished file, with its WAL and shared memory."""
    for suffix in ("", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


class _Old(NamedTuple):
    """The heads of the old database, and where its chains start after a purge."""

    heads: dict[tuple[str, int], Head]
    starts: dict[tuple[str, int], ChainStart]


class _Run:
    """One rebuild in progress."""

    def __init__(
        self,
        client: Client,
        names: Topics,
        store: Store,
        old: _Old,
        advance: Callable[[int], None],
    ) -> None:
        self.records = self.rejected = 0
        self.compared: list[ChainComparison] = []
        self._client, self._names, self._store, self._old, self._advance = client, names, store, old, advance

    async def read_partition(self, topic: str, partition: int) -> None:
        """Write a partition from its first record to its end; compare heads at the old database's next offset."""
        chained = table_of(self._names, topic) is not None
        old = self._old.heads.get((topic, partition)) if chained else None
        head_at_old: str | None = None
        next_offset = start = 0
        async for records in self._client.read(topic, partition):
            if chained and not next_offset and records[0].offset:
                start = await self._start_chain(topic, partition, records[0].offset)
            next_offset = records[-1].offset + 1
            remaining = [record for record in records if record.offset >= start]  # the others were purged
            if old is not None and head_at_old is None and next_offset > old.next_offset:
                await self._take(topic, partition, [record for record in remaining if record.offset < old.next_offset])
                head_at_old = await asyncio.to_thread(self._head, topic, partition)
                remaining = [record for record in remaining if record.offset >= old.next_offset]
            await self._take(topic, partition, remaining)
        if chained and not next_offset and (end := (await self._client.ends(topic)).get(partition, 0)):
            await self._start_chain(topic, partition, end)
        if old is not None:
            head = await asyncio.to_thread(self._head, topic, partition) if head_at_old is None else head_at_old
            self.compared.append(ChainComparison(topic, partition, old.next_offset, old.head, head))

    async def _take(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        rejected: set[int] = set()
        while records:
            try:
                await asyncio.to_thread(partial(self._store.take, MicroBatch(topic, partition, records), rejected))
            except RecordError as error:
                rejected.add(error.record.offset)  # as the sink does on the third attempt
                continue
            break
        self.records += len(records)
        self.rejected += len(rejected)
        self._advance(len(records))

    async def _start_chain(self, topic: str, partition: int, first: int) -> int:
        """Start the chain of a topic that begins at ``first`` where the old database's chain starts after a purge."""
        start = self._old.starts.get((topic, partition))
        if start is None or start.next_offset < first:
            self._no_beginning(topic, partition, first)
        await asyncio.to_thread(self._store.start_chain, start)
        return start.next_offset

    def _head(self, topic: str, partition: int) -> str:
        with self._store.engine.connect() as connection:
            row = connection.exec_driver_sql(_HEAD, (topic, partition)).first()
        return START if row is None else str(row[1])

    def _no_beginning(self, topic: str, partition: int, first: int) -> NoReturn:
        raise StoreError(
            Exit.CONFIG,
            f"{topic}[{partition}] in {self._client.where} begins at offset {first}: earlier records are gone (expired "
            "or deleted), and a rebuilt database would lack them. Restore a backup instead: the sink continues from "
            "its offsets",
        )


def _old_heads(url: str) -> tuple[dict[tuple[str, int], Head] | None, str]:
    try:
        with open_for_audit(url) as connection:
            return read_heads(connection), ""
    except StoreError as error:
        return None, error.message
    except sqlite3.DatabaseError as error:
        return None, f"{url}: cannot be read ({error})"


def _old_starts(url: str) -> dict[tuple[str, int], ChainStart]:
    with open_for_audit(url) as connection:
        return chain_starts(connection)


def _different_times(url: str, part: Path) -> int:
    try:
        with closing(sqlite3.connect(part.resolve().as_uri(), uri=True, isolation_level=None)) as new:
            new.execute("ATTACH ? AS old", (f"{database_file(url).resolve().as_uri()}?mode=ro",))
            return int(new.execute(_DIFFERENT_TIMES).fetchone()[0])
    except sqlite3.DatabaseError:
        return 0  # an unreadable old database already shows in the comparison of heads
