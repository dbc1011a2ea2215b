"""The sink's consumer group, one per database: its id is settled before the sink joins.

    settle(settings, store) -> database id -> sink_group -> "<prefix>traderecon-sink-<database id>"

Two databases in one group would each get only a part of the results. So the group name contains the database's id, and
a copy of a database gets a new id. A copy is recognized in two ways:

- the group has committed more than the file contains: the file is a restored backup or a copy;
- the group has members with another file open (``traderecon.sink.file_identity``).

If both start at the same moment, the group admits only one of them (``traderecon.transport.agreement``). A new id is
always safe: the sink continues at its own database's offsets, in its own group.
"""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic

from traderecon.client.client import Client
from traderecon.client.connection import connected
from traderecon.clock import now_ns
from traderecon.records.instants import iso
from traderecon.settings import Settings
from traderecon.sink.file_identity import file_identity
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport.agreement import MARGIN_S, Agreement

SESSION_S = 10.0
"""A dead member stays in its group this long."""
RETRY_S = 0.5
RESTART_WORKER = "Restart this worker: its database then gets a new id."

logger = logging.getLogger(__name__)


def sink_group(topic_prefix: str, database_id: str) -> str:
    """The group of the sink of a database."""
    return f"{sink_groups(topic_prefix)}{database_id}"


def sink_groups(topic_prefix: str) -> str:
    """The prefix of the groups of all sinks."""
    return f"{topic_prefix}traderecon-sink-"


def sink_agreement(store: Store) -> Agreement:
    """What all members of the group must agree on: the database file they have open."""
    agreement = Agreement("database", file_identity(store.path), lambda _: "", RESTART_WORKER)

    def describe(protocol: str) -> str:
        return f"the file {store.path} open" if protocol == agreement.protocol else "another file of this database open"

    return agreement._replace(describe=describe)


async def settle(settings: Settings, store: Store) -> str:
    """The id of the database; a new one if it has none or is a copy. ClientError; StoreError."""
    current = await asyncio.to_thread(store.database_id)
    if current is None:
        return await asyncio.to_thread(store.renew_id, "the first sink", iso(now_ns()))
    async with connected(settings) as client:
        reason = await _reason_to_renew(client, settings, store, current)
    if reason is None:
        return current
    renewed = await asyncio.to_thread(store.renew_id, reason, iso(now_ns()))
    logger.warning("%s gets the id %s instead of %s: %s", store.path, renewed, current, reason)
    return renewed


async def _reason_to_renew(client: Client, settings: Settings, store: Store, database_id: str) -> str | None:
    """Why another database has the same id; None if this is the only one."""
    group = sink_group(settings.topic_prefix, database_id)
    # In this order: a sink of this file may be running, and its database is never behind its commits.
    committed = await client.committed(group, topics(settings.topic_prefix).outputs)
    offsets: Mapping[tuple[str, int], int] = await asyncio.to_thread(store.offsets)
    for (topic, partition), offset in sorted(committed.items()):
        stored = offsets.get((topic, partition), 0)
        if stored < offset:
            return (
                f"the group {group} has read {topic}[{partition}] up to offset {offset}, but this file only up to "
                f"{stored}: it was restored from a backup or is a copy"
            )
    protocol = sink_agreement(store).protocol
    until_s = monotonic() + SESSION_S + MARGIN_S
    while True:
        state = await client.group(group)
        if not state.members or state.protocol == protocol:
            return None
        if monotonic() > until_s and state.protocol:  # without a protocol the group is rebalancing
            return f"the group {group} has members with another file open ({', '.join(state.hosts)}): this is a copy"
        await asyncio.sleep(RETRY_S)
