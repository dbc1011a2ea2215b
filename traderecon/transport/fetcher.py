"""The fetcher: the service that runs the read loop of a ``BatchConsumer``."""

from typing import Any

from faust.transport.consumer import Fetcher
from mode import Service


class BatchFetcher(Fetcher):
    """Runs the consumer's read loop. Faust's own fetcher treats a stop during a rebalance as a crash."""

    app: Any

    @Service.task
    async def _fetcher(self) -> None:
        await self.app.consumer._drain_messages(self)
