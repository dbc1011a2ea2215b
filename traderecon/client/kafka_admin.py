"""An admin client that survives the failure of one of several brokers."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

RETRY_S = 0.1

T = TypeVar("T")


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    """Tries the next broker if one does not answer; aiokafka picks one at random and fails with it."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        node_ids = [broker.nodeId for broker in self._client.cluster.brokers()]
        if node_id is not None or len(node_ids) < 2:
            return await super()._send_request(request, node_id)
        for candidate in node_ids[:-1]:
            try:
                return await self._client.send(candidate, request)
            except (NodeNotReadyError, KafkaConnectionError):
                continue
        return await self._client.send(node_ids[-1], request)


async def once_ready(request: Callable[[], Awaitable[T]], within_s: float) -> T:
    """Retry a request about groups until a coordinator is ready; after ``within_s`` seconds raise its last error.

    A new broker first creates the groups' topic, a restarted one loads it, and after a coordinator's death the cluster
    takes a moment to choose another. A broker that denies access looks the same at first.
    """
    until = monotonic() + within_s
    while True:
        try:
            return await request()
        except KafkaError as error:
            if not error.retriable or monotonic() >= until:
                raise
            await asyncio.sleep(RETRY_S)
