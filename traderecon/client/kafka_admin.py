"""The admin client of a Kafka that has several brokers, one of which may have just died."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

AGAIN_S = 0.1

T = TypeVar("T")


class Admin(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka has no types
    """Asks another broker where one does not answer: aiokafka draws one, and gives up with it."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        known = [broker.nodeId for broker in self._client.cluster.brokers()]
        if node_id is not None or len(known) < 2:
            return await super()._send_request(request, node_id)
        for number in known[:-1]:
            try:
                return await self._client.send(number, request)
            except (NodeNotReadyError, KafkaConnectionError):
                continue
        return await self._client.send(known[-1], request)


async def once_ready(question: Callable[[], Awaitable[T]], within_s: float) -> T:
    """What a broker answers about groups, when it can: a new one has to make their topic, one just started to read it.

    It says so. A group's coordinator may also have just died; the cluster takes a moment to name another one. Both are
    retried, then raised: a broker that lets nobody in looks the same at first.
    """
    until = monotonic() + within_s
    while True:
        try:
            return await question()
        except KafkaError as error:
            if not error.retriable or monotonic() >= until:
                raise
            await asyncio.sleep(AGAIN_S)
