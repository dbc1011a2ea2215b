"""Rebuild the state of matching if its table has lost records that the journal no longer has.

    rebuild(client, ...)  ->  for each journal partition: published results -> changelog rows -> the applied offset

The last published result of each trade contains the facts known about it. The workers read the rest from the journal
when they start. The applied offset is written last: an interrupted rebuild starts over, and no worker starts before a
rebuild is complete.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from traderecon.audit.database import open_for_audit
from traderecon.client.client import Client
from traderecon.clock import now_ns
from traderecon.records.match_keys import BAR
from traderecon.records.result_message import PublishedResult, decode_published
from traderecon.sink.database import StoreError
from traderecon.tables import BEGUN_KEY, MONOTONIC, Fold, HalfPublishedResults, applied_key, last_published, outputs
from traderecon.topics import Topics
from traderecon.transport import Outgoing, partition_for
from traderecon.transport.errors import NotAccepted, NoTopic

BATCH_SIZE = 1_000
"""Results read from the database at once."""
NO_COMMITS = "traderecon-nobody"
"""A group that never commits; its position gives the first offset of a topic."""

_NEWEST = """
    SELECT results.trade_id, result_history.result FROM results JOIN result_history
    ON result_history.trade_id = results.trade_id AND result_history.version = results.version
    AND result_history.event_id = results.event_id
"""


class RebuiltPartition(msgspec.Struct, frozen=True):
    """The outcome for one journal partition.

    ``known``: the table had the offsets below; the journal has ``first`` to ``end``; ``committed`` is the group's
    commit, None if there is none. ``lost`` is the number of offsets that neither has, 0 if nothing had to be done;
    ``results`` were read and ``rows`` written to replace them.
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
) -> list[RebuiltPartition]:
    """Rebuild every partition that needs it. NotAccepted: the group has members, or a topic is missing; ClientError."""
    counts = await client.topics()
    for topic in (names.legs, names.reconciled, names.mismatch, names.changelog):
        if topic not in counts:
            raise NoTopic(f"{client.where} has no topic {topic}: `traderecon topics create` makes what is missing")
    outcomes = []
    for partition in range(counts[names.legs]):
        position = await client.position(group, names.legs, partition)
        await client.require_empty(group)
        if position.committed is not None:  # the commit fails if the group has got members since
            await client.move(group, names.legs, partition, position.committed)
        with Fold(scratch, MONOTONIC) as fold:
            await _read_changelog(client, names.changelog, partition, fold)
            known = fold.applied(names.legs) + 1
            low, high = position.low, position.high
            outcome = RebuiltPartition(names.legs, partition, known, position.committed, low, high, max(0, low - known))
            if outcome.lost:
                outcome = await _write_rows(client, names, outcome, fold, database_url, advance)
        outcomes.append(outcome)
    return outcomes


async def set_applied(client: Client, names: Topics, partition: int, offset: int) -> None:
    """Mark the journal as applied up to ``offset`` in the table: records it lost below will not come back."""
    row = Outgoing(applied_key(names.legs), b"%d" % offset)
    await client.append(names.changelog, partition, [row])


async def _read_changelog(client: Client, changelog: str, partition: int, fold: Fold) -> None:
    async for records in client.read(changelog, partition):
        for record in records:
            fold.add(record.key or b"", record.value)


async def _write_rows(  # noqa: PLR0917  # one partition and its sources
    client: Client,
    names: Topics,
    outcome: RebuiltPartition,
    fold: Fold,
    database_url: str,
    advance: Callable[[int], None],
) -> RebuiltPartition:
    """Write the changelog rows of all published results of a partition, then its applied offset."""
    partition = outcome.partition
    if fold.row(BEGUN_KEY) is None:
        await client.append(names.changelog, partition, [Outgoing(BEGUN_KEY, b"%d" % now_ns())])
    await _complete_outputs(client, names, outcome)
    read = written = 0
    async for values in _encoded_results(client, names, partition, database_url):
        read += len(values)
        changes: dict[bytes, bytes] = {}
        for result in outputs.newest(_decode(values, outcome)):
            last = fold.row(last_published.PREFIX + result.trade_id.encode())
            changes |= outputs.rows(result, last, fold.values)
        if changes:
            await client.append(names.changelog, partition, [Outgoing(*row) for row in changes.items()])
            for row in changes.items():
                fold.add(*row)
        written += len(changes)
        advance(len(values))
    await set_applied(client, names, partition, outcome.first - 1)
    return msgspec.structs.replace(outcome, results=read, rows=written + 1)


async def _complete_outputs(client: Client, names: Topics, outcome: RebuiltPartition) -> None:
    """Append the results that a worker, before it died, had appended to only one of the two outputs."""
    half = HalfPublishedResults(names.reconciled, names.mismatch)
    async for topic, result, _ in _read_published(client, names, outcome):
        half.add(topic, result.trade_id, result.last.version, result.last.state.is_break)
    if half.find_missing():
        async for topic, result, row in _read_published(client, names, outcome):
            half.collect(topic, result.trade_id, result.last.version, result.last.state.is_break, row)
        for topic, rows in half.rows().items():
            await client.append(topic, outcome.partition, rows)


async def _read_published(
    client: Client, names: Topics, outcome: RebuiltPartition
) -> AsyncIterator[tuple[str, PublishedResult, Outgoing]]:
    """The results in the outputs of a partition, each with its topic and record."""
    for topic in (names.reconciled, names.mismatch):
        async for records in client.read(topic, outcome.partition):
            results = _decode([record.value or b"" for record in records], outcome)
            for record, result in zip(records, results, strict=True):
                yield topic, result, Outgoing(record.key, record.value)


def journal_key(trade_id: str, result: str) -> bytes:
    """The key of a trade's journal records: its trade_id as it was sent. ``result``: one of the trade."""
    if BAR not in trade_id:
        return trade_id.encode()
    leg = decode_published(result.encode()).facts[0].leg
    return (leg.sent_id or trade_id).encode()


def _decode(values: Iterable[bytes], outcome: RebuiltPartition) -> Iterator[PublishedResult]:
    for value in values:
        try:
            yield decode_published(value)
        except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
            raise NotAccepted(
                f"a result of {outcome.topic}[{outcome.partition}] cannot be read ({error}): the rebuild stops here"
            ) from error


async def _encoded_results(
    client: Client, names: Topics, partition: int, database_url: str
) -> AsyncIterator[list[bytes]]:
    """The results of a partition, in batches: from the topics, preceded by the database's if the topics lack some."""
    result_topics = (names.reconciled, names.mismatch)
    count = (await client.topics())[names.legs]
    if any([(await client.position(NO_COMMITS, topic, partition)).low for topic in result_topics]):
        for values in _stored_results(database_url, partition, count):
            yield values
    for topic in result_topics:
        async for records in client.read(topic, partition):
            yield [record.value or b"" for record in records]


def _stored_results(database_url: str, partition: int, count: int) -> Iterator[list[bytes]]:
    """The newest result of each trade of a partition in the database."""
    try:
        with open_for_audit(database_url) as connection, closing(connection.execute(_NEWEST)) as cursor:
            while rows := cursor.fetchmany(BATCH_SIZE):
                yield [
                    str(text).encode()
                    for trade_id, text in rows
                    if partition_for(journal_key(str(trade_id), str(text)), count) == partition
                ]
    except StoreError as error:
        raise NotAccepted(
            f"the start of the output topics has expired, and the database cannot supply it: {error}. Restore the "
            "database from a backup, and run this again"
        ) from error
