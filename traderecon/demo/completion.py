"""Completion: whether every trade sent has its verdict, and every verdict is stored."""

import asyncio

from traderecon.client.client import Client
from traderecon.records.instants import iso
from traderecon.sink.queries import Queries
from traderecon.topics import Topics

SECONDS = len("2025-07-26T10:01:23")
"""ISO times with different numbers of fraction digits compare correctly up to here."""


async def is_complete(client: Client, queries: Queries, names: Topics, at_ns: int) -> bool:
    """Whether every journal partition has reached ``at_ns`` without pending trades, and the sink has read all results.

    A partition publishes its watermark after its results, so no more results can follow.
    """
    partitions = await asyncio.to_thread(queries.partition_statuses)
    journal = await client.ends(names.legs)
    if len(partitions) < len(journal) or any(
        (partition.watermark or "")[:SECONDS] < iso(at_ns)[:SECONDS] or sum(partition.pending.values())
        for partition in partitions
    ):
        return False
    stored = {(row.topic, row.partition): row.next_offset for row in await asyncio.to_thread(queries.offsets)}
    for topic in (names.reconciled, names.mismatch, names.dead_letters):
        for partition, end in (await client.ends(topic)).items():
            if stored.get((topic, partition), 0) < end:
                return False
    return True
