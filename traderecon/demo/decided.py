"""Decided: whether everything that was sent has its verdict, and every verdict its row."""

import asyncio

from traderecon.client.client import Client
from traderecon.records.instants import iso
from traderecon.sink.queries import Queries
from traderecon.topics import Topics

SECONDS = len("2025-07-26T10:01:23")
"""ISO times of unequal fractions are in order up to here."""


async def decided(client: Client, queries: Queries, names: Topics, at_ns: int) -> bool:
    """Time has got to ``at_ns`` in every journal partition, nobody waits there, and the sink is at the topics' ends.

    A standing that says so follows its results into the topics; what is in the topics at that moment is all there is.
    """
    standings = await asyncio.to_thread(queries.standings)
    journal = await client.ends(names.legs)
    if len(standings) < len(journal) or any(
        (standing.watermark or "")[:SECONDS] < iso(at_ns)[:SECONDS] or sum(standing.pending.values())
        for standing in standings
    ):
        return False
    stored = {(row.topic, row.partition): row.next_offset for row in await asyncio.to_thread(queries.offsets)}
    for topic in (names.reconciled, names.mismatch, names.dead_letters):
        for partition, end in (await client.ends(topic)).items():
            if stored.get((topic, partition), 0) < end:
                return False
    return True
