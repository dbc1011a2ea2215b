"""Catch up a table that is behind its source partition, before the partition is read again.

    catch_up_table(app, TP("legs", 2))  ->  partitions it needs that have no leader; empty when the table is caught up

Records read here count as progress for the watchdog, as changelog records do.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from faust.types import TP

CatchUp = Callable[[TP], AsyncIterator[int]]
"""A source partition on which a table is behind the group's commit -> numbers of records read, step by step.

Raises NoLeader if it cannot begin yet.
"""


class NoLeader(Exception):
    """These partitions have no leader that answers; try again later."""

    def __init__(self, tps: Iterable[TP]) -> None:
        self.tps = frozenset(tps)
        super().__init__(", ".join(f"{tp.topic}[{tp.partition}]" for tp in sorted(self.tps)))


async def catch_up_table(app: Any, tp: TP) -> frozenset[TP]:
    """Run the app's ``catch_up``; return the partitions it has to wait for, if any."""
    if app.catch_up is None:
        return frozenset()
    try:
        async for count in app.catch_up(tp):
            app.tables.recovery.restored += count
            await asyncio.sleep(0)  # heartbeats and other partitions need the event loop too
    except NoLeader as error:
        return error.tps
    return frozenset()
