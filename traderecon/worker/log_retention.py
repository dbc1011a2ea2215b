"""Retention of the embedded log: what every reader has done and nobody needs any more gives its room back.

    trim below  min(what every group has committed,  the first record younger than the topic's retention)

A Kafka does this by itself, by ``retention.ms`` alone. Here a topic is also kept for whoever has not read it yet. Time
is the watermark, as matching has told it to the database: a clock that is set ahead ages nothing by itself.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from traderecon.addresses import sqlite_path
from traderecon.settings import Settings
from traderecon.sink.queries import UNREADABLE, Queries
from traderecon.topics import Topic, Topics, topics
from traderecon.transport import StreamApp
from traderecon.transport.log import Busy, DiskFull, Log, NoSuchPartition, OpenLog
from traderecon.worker.log_databases import in_force, noted
from traderecon.worker.sink_group import sink_group, sink_groups

EVERY_S = 60.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

logger = logging.getLogger(__name__)


def attach(app: StreamApp, settings: Settings, directory: Path) -> None:
    """Have an app of the worker trim the log of ``directory`` about once a minute, beside everything else."""
    names = topics(settings.topic_prefix)
    declared = names.declared(settings.retention_days, settings.database_retention_days)

    queries = Queries.open(settings.database_url)
    if (database := sqlite_path(settings.database_url)) is not None:
        noted(directory, database)

    async def trim(*_: object) -> None:
        try:
            now_ms = await asyncio.to_thread(watermark_ms, queries)
        except UNREADABLE:
            return  # the sink says what is wrong with its database
        if now_ms is None:
            return
        databases = await asyncio.to_thread(in_force, directory)
        opened = OpenLog.of(directory, worker=False)
        try:
            await asyncio.to_thread(trimmed, opened.log, names, declared, settings.topic_prefix, now_ms, databases)
        except (Busy, DiskFull) as error:
            logger.info("the log is trimmed a minute later: %s", error)
        finally:
            opened.release()

    app.timer(interval=EVERY_S, on_leader=False, name="log-retention")(trim)


def watermark_ms(queries: Queries) -> int | None:
    """How far time has got in every partition of the journal, in ms since 1970; None where one has told nothing."""
    told = [one.watermark for one in queries.standings()]
    reached = [datetime.fromisoformat(watermark) for watermark in told if watermark is not None]
    if not reached or len(reached) < len(told):
        return None
    return (min(reached) - _EPOCH) // _MILLISECOND


def trimmed(  # noqa: PLR0917  # the log, and what says how far
    log: Log,
    names: Topics,
    declared: Iterable[Topic],
    prefix: str,
    now_ms: int,
    databases: Mapping[str, bool] = MappingProxyType({}),
) -> dict[tuple[str, int], int]:
    """Trim every topic that has a retention; gives the first offset of each partition that was.

    ``databases``: ids of those that have read the log, and whether each is in force (``log_databases``).
    """
    sinks = {sink_group(prefix, database_id): used for database_id, used in databases.items()}
    found = {}
    for topic in declared:
        if topic.compacted or topic.retention_ms is None:
            continue
        try:
            count = log.partitions(topic.name)
        except NoSuchPartition:
            continue
        for partition in range(count):
            done = _done(log.readers(topic.name, partition), _groups(names, topic.name, prefix), sinks)
            if done is None:
                continue
            # A step at a time, each bounded, until the first record that is to stay.
            while (first := min(done, log.expired(topic.name, partition, now_ms - topic.retention_ms))) > log.earliest(
                topic.name, partition
            ):
                while log.trim(topic.name, partition, first):
                    pass
                found[topic.name, partition] = first
    return found


def _groups(names: Topics, topic: str, prefix: str) -> str:
    """How the groups begin that read a topic."""
    if topic in names.inputs:
        return f"{prefix}traderecon-intake"
    return f"{prefix}traderecon-matching" if topic == names.legs else sink_groups(prefix)


def _done(readers: Mapping[str, int], groups: str, sinks: Mapping[str, bool]) -> int | None:
    """What every reader has done; None where one that must read it has done nothing, or there is none."""
    if any(used and group.startswith(groups) and group not in readers for group, used in sinks.items()):
        return None
    done = [following for group, following in readers.items() if group.startswith(groups) and sinks.get(group, True)]
    return min(done, default=None)
