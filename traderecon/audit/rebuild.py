"""A rebuild: a new database made from the topics alone, and held against the old one, chain by chain.

    topics -> Store -> FILE;  at the offset where the old database stands, the new one must have the same head

Nothing else writes to the new file, no group commits, and the old one is only read: workers may go on meanwhile.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from traderecon.addresses import sqlite_url
from traderecon.audit.backup import Head, heads, require_new, settle
from traderecon.audit.database import chain_starts, file_of, looked_at
from traderecon.audit.links import table_of
from traderecon.client.client import Client
from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError
from traderecon.sink.decoding import ForeignRecord
from traderecon.sink.purge import ChainStart
from traderecon.sink.store import Store
from traderecon.topics import Topics
from traderecon.transport import MicroBatch, Record
from traderecon.transport.errors import NoTopic

_HEAD = "SELECT next_offset, head FROM sink_offsets WHERE topic = ? AND partition = ?"
_TIMES = """
    SELECT count(*) FROM old.result_history AS before JOIN main.result_history AS now
    ON before.trade_id = now.trade_id AND before.version = now.version AND before.event_id = now.event_id
    WHERE before.decided_at <> now.decided_at
"""


class Compared(msgspec.Struct, frozen=True):
    """One chain of both: the old database's offset, its head, and the new one's at that offset."""

    topic: str
    partition: int
    next_offset: int
    old: str
    new: str

    @property
    def same(self) -> bool:
        """Whether the topics still come to what the old database has."""
        return self.old == self.new


class Rebuilt(msgspec.Struct, frozen=True):
    """What came of it: records read, records passed over because they are none of ours, heads, the comparison.

    ``compared`` is None where there was no old database that could be read, and ``why`` says why; ``times``: results
    whose ``decided_at`` is another one in the old database.
    """

    file: str
    records: int
    aside: int
    heads: list[Head]
    compared: list[Compared] | None
    times: int
    why: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.times and all(one.same for one in self.compared or ())


async def rebuild(
    client: Client,
    names: Topics,
    old_url: str,
    file: Path,
    *,
    prefix: str = "",
    advance: Callable[[int], None] = lambda records: None,
) -> Rebuilt:
    """Make ``file`` from the topics. StoreError: it is there, or a topic has lost its beginning; ClientError."""
    require_new(file)
    old, why = await asyncio.to_thread(_old, old_url)
    part = file.with_name(file.name + ".part")
    forget(part)
    store = Store.open(sqlite_url(part))
    try:
        store.ready()
        store.pin(await client.cluster_id(), prefix)
        counts = await client.topics()
        run = _Run(client, store, old or {}, await asyncio.to_thread(_starts, old_url) if old else {}, advance)
        for topic in names.outputs:
            if topic not in counts:
                raise NoTopic(f"{client.where} has no topic {topic}: `traderecon topics create` makes what is missing")
            for partition in range(counts[topic]):
                await run.partition(topic, partition)
        with store.engine.connect() as connection:
            made = [Head(*row) for row in connection.exec_driver_sql("SELECT * FROM sink_offsets ORDER BY 1, 2")]
        store.close()
        times = await asyncio.to_thread(_times, old_url, part) if old is not None else 0
        try:
            settle(part, file)
        except OSError as error:
            raise StoreError(Exit.SOFTWARE, f"{file}: cannot be written ({error.strerror})") from error
    finally:
        store.close()
        forget(part)
    return Rebuilt(str(file), run.records, run.aside, made, None if old is None else run.compared, times, why)


def forget(part: Path) -> None:
    """Remove an unfinished file, and what lies beside it."""
    for suffix in ("", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


class _Run:
    """One rebuild on the way."""

    def __init__(
        self,
        client: Client,
        store: Store,
        old: dict[tuple[str, int], Head],
        starts: dict[tuple[str, int], ChainStart],
        advance: Callable[[int], None],
    ) -> None:
        self._starts = starts
        self.records = self.aside = 0
        self.compared: list[Compared] = []
        self._client, self._store, self._old, self._advance = client, store, old, advance

    async def partition(self, topic: str, number: int) -> None:
        """Take a partition from its first record to its end, stopping where the old database stands."""
        chained = table_of(topic) is not None
        old = self._old.get((topic, number)) if chained else None
        reached: str | None = None
        following = start = 0
        async for records in self._client.read(topic, number):
            if chained and not following and records[0].offset:
                start = await self._start(topic, number, records[0].offset)
            following = records[-1].offset + 1
            records = [record for record in records if record.offset >= start]  # noqa: PLW2901  # the rest was purged
            before, behind = records, list[Record]()
            if old is not None and reached is None and following > old.next_offset:
                before = [record for record in records if record.offset < old.next_offset]
                behind = [record for record in records if record.offset >= old.next_offset]
                await self._take(topic, number, before)
                reached = await asyncio.to_thread(self._head, topic, number)
                before = behind
            await self._take(topic, number, before)
        if chained and not following and (end := (await self._client.ends(topic)).get(number, 0)):
            await self._start(topic, number, end)
        if old is not None:
            new = await asyncio.to_thread(self._head, topic, number) if reached is None else reached
            self.compared.append(Compared(topic, number, old.next_offset, old.head, new))

    async def _take(self, topic: str, number: int, records: Sequence[Record]) -> None:
        aside: set[int] = set()
        while records:
            try:
                await asyncio.to_thread(partial(self._store.take, MicroBatch(topic, number, records), aside))
            except ForeignRecord as error:
                aside.add(error.record.offset)  # as the sink does, the third time
                continue
            break
        self.records += len(records)
        self.aside += len(aside)
        self._advance(len(records))

    async def _start(self, topic: str, number: int, first: int) -> int:
        """Begin a partition whose topic begins at ``first``: where the old database's chain does, behind a purge."""
        start = self._starts.get((topic, number))
        if start is None or start.next_offset < first:
            self._no_beginning(topic, number, first)
        await asyncio.to_thread(self._store.starts, start)
        return start.next_offset

    def _head(self, topic: str, number: int) -> str:
        with self._store.engine.connect() as connection:
            row = connection.exec_driver_sql(_HEAD, (topic, number)).first()
        return "0" * 64 if row is None else str(row[1])

    def _no_beginning(self, topic: str, number: int, first: int) -> NoReturn:
        raise StoreError(
            Exit.CONFIG,
            f"{topic}[{number}] in {self._client.where} begins at offset {first}: what was before is gone (retention, "
            "or somebody deleted it), and a database made from the rest would lack it. Restore a backup instead: the "
            "sink reads on from there",
        )


def _old(url: str) -> tuple[dict[tuple[str, int], Head] | None, str]:
    try:
        with looked_at(url) as connection:
            return heads(connection), ""
    except StoreError as error:
        return None, error.sentence
    except sqlite3.DatabaseError as error:
        return None, f"{url}: cannot be read ({error})"


def _starts(url: str) -> dict[tuple[str, int], ChainStart]:
    with looked_at(url) as connection:
        return chain_starts(connection)


def _times(url: str, part: Path) -> int:
    try:
        with closing(sqlite3.connect(part.resolve().as_uri(), uri=True, isolation_level=None)) as new:
            new.execute("ATTACH ? AS old", (f"{file_of(url).resolve().as_uri()}?mode=ro",))
            return int(new.execute(_TIMES).fetchone()[0])
    except sqlite3.DatabaseError:
        return 0  # what cannot be read there, the heads have told already
