"""The outbox: collects rows per partition and appends them together through a client.

put, put, put, ...  ->  flush: append every partition's rows concurrently, acknowledged  ->  counted in ``sent``
"""

import asyncio
from collections import Counter, defaultdict

from traderecon.client.client import Client
from traderecon.transport.microbatch import Outgoing


class Outbox:
    """Rows to send; ``sent`` counts the rows of each topic that the log has acknowledged.

    Rows of one partition keep their order. An outbox must not be used after ``flush`` has raised.
    """

    def __init__(self, client: Client, sent: Counter[str] | None = None) -> None:
        self.sent: Counter[str] = Counter() if sent is None else sent
        self._client = client
        self._waiting: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)

    def put(self, topic: str, partition: int, row: Outgoing) -> None:
        """Add a row for the next ``flush``."""
        self._waiting[topic, partition].append(row)

    async def flush(self) -> None:
        """Send all waiting rows and return when they are durable; a ``ClientError`` if some are not.

        If cancelled (Ctrl-C), it still waits for the appends in progress, so that ``sent`` is correct.
        """
        waiting = list(self._waiting.items())
        if not waiting:
            return
        self._waiting.clear()
        appends = asyncio.gather(*(self._append(*tp, rows) for tp, rows in waiting), return_exceptions=True)
        try:
            outcomes = await asyncio.shield(appends)
        except asyncio.CancelledError:
            await appends
            raise
        for error in outcomes:
            if error is not None:
                raise error

    async def _append(self, topic: str, partition: int, rows: list[Outgoing]) -> None:
        await self._client.append(topic, partition, rows)
        self.sent[topic] += len(rows)
