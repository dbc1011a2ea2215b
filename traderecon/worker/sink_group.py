"""The sink's consumer group, which belongs to its database: settled before the sink joins it.

    settled(settings, store) -> "<prefix>traderecon-sink-<database id>"

Two databases in one group would get a part of the outputs each. So the group carries the database's id, and an id that
a copy of the file has as well is replaced by a new one. A copy is recognised in two ways:

- its group has committed more than the file has: it is older than the group, a backup that was restored or a copy;
- its group has members that have another file open (``traderecon.sink.place``).

Where both start at the same moment, the group takes one of them only (``traderecon.transport.agreement``). A new id is
always safe: the sink reads on from where its own database says, in a group of its own.
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
from traderecon.sink.place import place_of
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport.agreement import MARGIN_S, Agreement

SESSION_S = 10.0
"""A member that has gone is in its group for so long."""
AGAIN_S = 0.5
TODO = "Stop this worker and start it again: its database then gets an id of its own."

logger = logging.getLogger(__name__)


def sink_group(topic_prefix: str, database_id: str) -> str:
    """The group of the sink of a database."""
    return f"{sink_groups(topic_prefix)}{database_id}"


def sink_groups(topic_prefix: str) -> str:
    """How the groups of all sinks begin."""
    return f"{topic_prefix}traderecon-sink-"


def sink_agreement(store: Store) -> Agreement:
    """What all members of the group have in common: the file they have open."""
    return Agreement("database", place_of(store.path), TODO)


async def settle(settings: Settings, store: Store) -> str:
    """The id of the database, drawn anew where there is none or where another file has it. ClientError; StoreError."""
    found = await asyncio.to_thread(store.database_id)
    if found is None:
        return await asyncio.to_thread(store.renew_id, "the first sink", iso(now_ns()))
    async with connected(settings) as client:
        reason = await _taken(client, settings, store, found)
    if reason is None:
        return found
    made = await asyncio.to_thread(store.renew_id, reason, iso(now_ns()))
    logger.warning("%s gets the id %s instead of %s: %s", store.path, made, found, reason)
    return made


async def _taken(client: Client, settings: Settings, store: Store, database_id: str) -> str | None:
    """Why the id cannot be this file's, or not alone; None where it is."""
    group = sink_group(settings.topic_prefix, database_id)
    # In this order: a sink of this file may be at work, and its database is never behind its commits.
    committed = await client.committed(group, topics(settings.topic_prefix).outputs)
    offsets: Mapping[tuple[str, int], int] = await asyncio.to_thread(store.offsets)
    for (topic, partition), offset in sorted(committed.items()):
        stored = offsets.get((topic, partition), 0)
        if stored < offset:
            return (
                f"the group {group} has read {topic}[{partition}] up to offset {offset}, and this file up to {stored}: "
                "it was restored, or is a copy"
            )
    protocol = sink_agreement(store).protocol
    until_s = monotonic() + SESSION_S + MARGIN_S
    while True:
        state = await client.group(group)
        if not state.members or state.protocol == protocol:
            return None
        if monotonic() > until_s and state.protocol:  # else it rebalances, and says in a moment what it works with
            return f"the group {group} has members with another file open ({', '.join(state.hosts)}): this is a copy"
        await asyncio.sleep(AGAIN_S)
