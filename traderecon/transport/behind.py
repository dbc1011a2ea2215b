"""What a table has lost of a source partition is made good before the partition is read again.

    made_good(app, TP("legs", 2))  ->  the partitions that this takes and whose leader does not answer; none: it is done

What is read for it is a sign of life to the watchdog, as a changelog's records are.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from faust.types import TP

Behind = Callable[[TP], AsyncIterator[int]]
"""A source partition of which a table knows less than the group has committed -> records read, in small steps.

NoLeader where it cannot begin yet.
"""


class NoLeader(Exception):
    """These partitions have no leader that answers; to be asked again."""

    def __init__(self, tps: Iterable[TP]) -> None:
        self.tps = frozenset(tps)
        super().__init__(", ".join(f"{tp.topic}[{tp.partition}]" for tp in sorted(self.tps)))


async def made_good(app: Any, tp: TP) -> frozenset[TP]:
    """Have an app's ``behind`` do its work; what it waits for is given instead."""
    if app.behind is None:
        return frozenset()
    try:
        async for count in app.behind(tp):
            app.tables.recovery.restored += count
            await asyncio.sleep(0)  # whatever else the loop has to do: heartbeats, other partitions
    except NoLeader as error:
        return error.tps
    return frozenset()
