"""The outbox: rows on their way to a client, gathered per partition and appended together.

put, put, put, ...  ->  flush: every partition's rows at once, acknowledged  ->  counted in ``sent``
"""

import asyncio
from collections import Counter, defaultdict

from traderecon.client.client import Client
from traderecon.transport.microbatch import Outgoing


class Outbox:
    """What waits to be sent, and in ``sent`` how many rows of each topic the log has acknowledged.

    Rows of one partition keep their order. Once ``flush`` has raised, the outbox is not to be used again.
    """

    def __init__(self, client: Client, sent: Counter[str] | None = None) -> None:
        self.sent: Counter[str] = Counter() if sent is None else sent
        self._client = client
        self._waiting: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)

    def put(self, topic: str, partition: int, row: Outgoing) -> None:
        """Add a row; it is sent by the next ``flush``."""
        self._waiting[topic, partition].append(row)

    async def flush(self) -> None:
        """Send what waits, and return when all of it is durable; a ``ClientError`` when some of it is not.

        Who is cancelled here (Ctrl-C) still waits for what is under way, so that ``sent`` is what was sent.
        """
        waiting = list(self._waiting.items())
        if not waiting:
            return
        self._waiting.clear()
        appends = asyncio.gather(*(self._append(*named, rows) for named, rows in waiting), return_exceptions=True)
        try:
            ends = await asyncio.shield(appends)
        except asyncio.CancelledError:
            await appends
            raise
        for error in ends:
            if error is not None:
                raise error

    async def _append(self, topic: str, partition: int, rows: list[Outgoing]) -> None:
        await self._client.append(topic, partition, rows)
        self.sent[topic] += len(rows)
