"""Retention of the embedded log: delete records that every group has read and that are older than the retention.

    trim below  min(the commits of all groups,  the first record younger than the topic's retention)

Kafka does this by ``retention.ms`` alone. The embedded log also keeps records for groups that have not read them yet.
The current time is the watermark in the database: a clock that is set ahead does not expire records.
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
from traderecon.transport.app import StreamApp
from traderecon.transport.log import Busy, DiskFull, Log, NoSuchPartition, OpenLog
from traderecon.worker.log_databases import in_use, record
from traderecon.worker.sink_group import sink_group, sink_groups

INTERVAL_S = 60.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

logger = logging.getLogger(__name__)


def attach(app: StreamApp, settings: Settings, directory: Path) -> None:
    """Add a timer to an app of the worker that trims the log in ``directory`` once a minute."""
    names = topics(settings.topic_prefix)
    declared = names.declared(settings.retention_days, settings.database_retention_days)

    queries = Queries.open(settings.database_url)
    if (database := sqlite_path(settings.database_url)) is not None:
        record(directory, database)

    async def trim(*_: object) -> None:
        try:
            now_ms = await asyncio.to_thread(watermark_ms, queries)
        except UNREADABLE:
            return  # the sink reports errors of its database
        if now_ms is None:
            return
        databases = await asyncio.to_thread(in_use, directory)
        opened = OpenLog.of(directory, worker=False)
        try:
            await asyncio.to_thread(trim_log, opened.log, names, declared, settings.topic_prefix, now_ms, databases)
        except (Busy, DiskFull) as error:
            logger.info("trimming the log is postponed by a minute: %s", error)
        finally:
            opened.release()

    app.timer(interval=INTERVAL_S, on_leader=False, name="log-retention")(trim)


def watermark_ms(queries: Queries) -> int | None:
    """The lowest watermark of all journal partitions, in ms since 1970; None if one has none yet."""
    watermarks = [partition.watermark for partition in queries.partition_statuses()]
    times = [datetime.fromisoformat(watermark) for watermark in watermarks if watermark is not None]
    if not times or len(times) < len(watermarks):
        return None
    return (min(times) - _EPOCH) // _MILLISECOND


def trim_log(  # noqa: PLR0917  # the log, and what limits the trimming
    log: Log,
    names: Topics,
    declared: Iterable[Topic],
    prefix: str,
    now_ms: int,
    databases: Mapping[str, bool] = MappingProxyType({}),
) -> dict[tuple[str, int], int]:
    """Trim every topic that has a retention; returns the new first offset of each trimmed partition.

    ``databases``: the ids of databases that have read the log, and whether each is in use (``log_databases``).
    """
    sinks = {sink_group(prefix, database_id): used for database_id, used in databases.items()}
    first_offsets = {}
    for topic in declared:
        if topic.compacted or topic.retention_ms is None:
            continue
        try:
            count = log.partitions(topic.name)
        except NoSuchPartition:
            continue
        for partition in range(count):
            read_by_all = _read_by_all(log.readers(topic.name, partition), _groups(names, topic.name, prefix), sinks)
            if read_by_all is None:
                continue
            # In bounded steps, up to the first record to keep.
            while (
                first := min(read_by_all, log.expired(topic.name, partition, now_ms - topic.retention_ms))
            ) > log.earliest(topic.name, partition):
                while log.trim(topic.name, partition, first):
                    pass
                first_offsets[topic.name, partition] = first
    return first_offsets


def _groups(names: Topics, topic: str, prefix: str) -> str:
    """The prefix of the groups that read a topic."""
    if topic in names.inputs:
        return f"{prefix}traderecon-intake"
    return f"{prefix}traderecon-matching" if topic == names.legs else sink_groups(prefix)


def _read_by_all(readers: Mapping[str, int], groups: str, sinks: Mapping[str, bool]) -> int | None:
    """The lowest commit of all readers; None if there is no reader, or a sink in use has not committed yet."""
    if any(used and group.startswith(groups) and group not in readers for group, used in sinks.items()):
        return None
    commits = [offset for group, offset in readers.items() if group.startswith(groups) and sinks.get(group, True)]
    return min(commits, default=None)
