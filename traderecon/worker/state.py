"""The state of matching, rebuilt where the journal no longer reaches back to what its table has lost.

    rebuild(client, ...)  ->  for each journal partition: results published -> rows of the changelog -> "known up to"

What was published says what was known: the last result of each trade, and the facts it shows. The workers read the rest
from the journal when they start. Rows first, the offset they stand for last: a rebuild that was cut off is begun again,
and until it has ended no worker starts.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from traderecon.audit.database import looked_at
from traderecon.client.client import Client
from traderecon.clock import now_ns
from traderecon.records.result_message import Published, published
from traderecon.sink.database import StoreError
from traderecon.tables import BEGUN_KEY, MONOTONIC, Fold, HalfPublished, applied_key, last_published, outputs
from traderecon.topics import Topics
from traderecon.transport import Outgoing, partition_for
from traderecon.transport.errors import NotAccepted, NoTopic

AT_ONCE = 1_000
"""Results whose rows are written in one step."""
NOBODY = "traderecon-nobody"
"""A group that never commits: to ask where a topic begins."""

_NEWEST = """
    SELECT results.trade_id, result_history.result FROM results JOIN result_history
    ON result_history.trade_id = results.trade_id AND result_history.version = results.version
    AND result_history.event_id = results.event_id
"""


class Rebuilt(msgspec.Struct, frozen=True):
    """What became of one journal partition.

    ``known``: offsets below were in the table before; ``first`` to ``end`` is what the journal has; ``committed`` is
    the group's, None where there is none. ``lost``: offsets that neither table nor journal have, ``results`` read and
    ``rows`` written for them. Nothing to do: ``lost`` is 0.
    """

    topic: str
    partition: int
    known: int
    committed: int | None
    first: int
    end: int
    lost: int
    results: int = 0
    rows: int = 0


async def rebuild(
    client: Client,
    names: Topics,
    group: str,
    *,
    database_url: str,
    scratch: Path,
    advance: Callable[[int], None] = lambda records: None,
) -> list[Rebuilt]:
    """Rebuild every partition that needs it. NotAccepted: the group has members, or a topic is missing; ClientError."""
    counts = await client.topics()
    for topic in (names.legs, names.reconciled, names.mismatch, names.changelog):
        if topic not in counts:
            raise NoTopic(f"{client.where} has no topic {topic}: `traderecon topics create` makes what is missing")
    done = []
    for partition in range(counts[names.legs]):
        at = await client.position(group, names.legs, partition)
        await client.require_empty(group)
        if at.committed is not None:  # nobody can commit for a group that has got members since
            await client.move(group, names.legs, partition, at.committed)
        with Fold(scratch, MONOTONIC) as fold:
            await _folded(client, names.changelog, partition, fold)
            known = fold.applied(names.legs) + 1
            made = Rebuilt(names.legs, partition, known, at.committed, at.low, at.high, max(0, at.low - known))
            if made.lost:
                made = await _seeded(client, names, made, fold, database_url, advance)
        done.append(made)
    return done


async def set_applied(client: Client, names: Topics, partition: int, offset: int) -> None:
    """Have the table know the journal up to ``offset``: by decision, what it lost below is not coming back."""
    row = Outgoing(applied_key(names.legs), b"%d" % offset)
    await client.append(names.changelog, partition, [row])


async def _folded(client: Client, changelog: str, partition: int, fold: Fold) -> None:
    async for records in client.read(changelog, partition):
        for record in records:
            fold.add(record.key or b"", record.value)


async def _seeded(  # noqa: PLR0917  # one partition, and what it is made from
    client: Client, names: Topics, made: Rebuilt, fold: Fold, database_url: str, advance: Callable[[int], None]
) -> Rebuilt:
    if fold.row(BEGUN_KEY) is None:
        await client.append(names.changelog, made.partition, [Outgoing(BEGUN_KEY, b"%d" % now_ns())])
    await _complete(client, names, made)
    read = written = 0
    async for values in _values(client, names, made.partition, database_url):
        read += len(values)
        changes: dict[bytes, bytes] = {}
        for result in outputs.newest(_results(values, made)):
            last = fold.row(last_published.PREFIX + result.trade_id.encode())
            changes |= outputs.rows(result, last, fold.values)
        if changes:
            await client.append(names.changelog, made.partition, [Outgoing(*row) for row in changes.items()])
            for row in changes.items():
                fold.add(*row)
        written += len(changes)
        advance(len(values))
    await set_applied(client, names, made.partition, made.first - 1)
    return msgspec.structs.replace(made, results=read, rows=written + 1)


async def _complete(client: Client, names: Topics, made: Rebuilt) -> None:
    """Append what a worker that died had appended to one of the two outputs only."""
    half = HalfPublished(names.reconciled, names.mismatch)
    async for topic, result, _ in _published(client, names, made):
        half.take_in(topic, result.trade_id, result.last.version, result.last.state.is_break)
    if half.lacking():
        async for topic, result, row in _published(client, names, made):
            half.collect(topic, result.trade_id, result.last.version, result.last.state.is_break, row)
        for topic, rows in half.rows().items():
            await client.append(topic, made.partition, rows)


async def _published(client: Client, names: Topics, made: Rebuilt) -> AsyncIterator[tuple[str, Published, Outgoing]]:
    """The results that the outputs have of a partition, each with its topic and its record."""
    for topic in (names.reconciled, names.mismatch):
        async for records in client.read(topic, made.partition):
            results = _results([record.value or b"" for record in records], made)
            for record, result in zip(records, results, strict=True):
                yield topic, result, Outgoing(record.key, record.value)


def _results(values: Iterable[bytes], made: Rebuilt) -> Iterator[Published]:
    for value in values:
        try:
            yield published(value)
        except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
            raise NotAccepted(
                f"a result for {made.topic}[{made.partition}] cannot be read ({error}): nothing is taken to be rebuilt"
            ) from error


async def _values(client: Client, names: Topics, partition: int, database_url: str) -> AsyncIterator[list[bytes]]:
    """The results of a partition, some at a time: what the topics have; first the database's, where they lack some."""
    outputs_ = (names.reconciled, names.mismatch)
    count = (await client.topics())[names.legs]
    if any([(await client.position(NOBODY, topic, partition)).low for topic in outputs_]):
        for values in _stored(database_url, partition, count):
            yield values
    for topic in outputs_:
        async for records in client.read(topic, partition):
            yield [record.value or b"" for record in records]


def _stored(database_url: str, partition: int, count: int) -> Iterator[list[bytes]]:
    """The newest result of each trade of a partition, as the database has it."""
    try:
        with looked_at(database_url) as connection, closing(connection.execute(_NEWEST)) as found:
            while rows := found.fetchmany(AT_ONCE):
                yield [
                    str(text).encode()
                    for trade_id, text in rows
                    if partition_for(trade_id.encode(), count) == partition
                ]
    except StoreError as error:
        raise NotAccepted(
            f"the output topics have lost their beginning, and what they lack is for the database to say: {error}. "
            "Restore it from a backup, and run this again"
        ) from error
