"""What an administrator does to a Kafka with its own tools: more partitions, a group forgotten, a topic read again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest_v2
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String
from broker.kafka_wire import ask
from broker.waiting import until


class DeleteGroupsAnswer(Response):
    """Per group: its name and an error code."""

    API_KEY = 42
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("results", Array(("group_id", String("utf-8")), ("error_code", Int16)))
    )


class DeleteGroups(RequestStruct):
    """Forget groups that nobody is in, with their offsets."""

    API_KEY = 42
    API_VERSION = 0
    RESPONSE_TYPE = DeleteGroupsAnswer
    SCHEMA = Schema(("groups_names", Array(String("utf-8"))))


def add_partitions(address: str, topic: str, count: int) -> None:
    """Have a topic grow to so many partitions."""
    _ask(address, lambda admin: admin.create_partitions({topic: NewPartitions(count)}))


def forget_offsets(address: str, group: str) -> None:
    """Delete a group with its offsets, as their retention would; it may have had members a moment ago."""
    until(lambda: not ask(address, DeleteGroups([group])).results[0][1], f"{group} is empty, and forgotten")


def read_again(address: str, group: str, topic: str, partitions: int) -> None:
    """Have a group that nobody is in begin a topic anew (``--reset-offsets --to-earliest``)."""
    offsets = [(topic, [(partition, 0, "") for partition in range(partitions)])]
    request = OffsetCommitRequest_v2(group, -1, "", -1, offsets)

    def done() -> bool:
        ((_, answers),) = ask(address, request).topics
        return not any(code for _, code in answers)

    until(done, f"{group} is empty, and begins {topic} anew")


def _ask(address: str, question: Callable[[Any], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        try:
            return await question(admin)
        finally:
            await admin.close()

    return asyncio.run(asked())
