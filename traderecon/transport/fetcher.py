"""The fetcher: the service in which a consumer of ours reads its log."""

from typing import Any

from faust.transport.consumer import Fetcher
from mode import Service


class BatchFetcher(Fetcher):
    """Runs the consumer's fetching; Faust's takes a stop during a rebalance for a crash."""

    app: Any

    @Service.task
    async def _fetcher(self) -> None:
        await self.app.consumer._drain_messages(self)
