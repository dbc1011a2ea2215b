"""Topic ids and leader epochs, available since Kafka 2.8.

topic_ids(client, {"legs"})  ->  {"legs": LogId("6f1d...", {0: 7, 1: 7})}      empty if the broker has none
"""

from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from traderecon.transport.fingerprint import LogId

ID_BYTES = 16
NO_ID = bytes(ID_BYTES)


class _Uuid:
    """Kafka's UUID type: 16 bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, read: BytesIO) -> bytes:
        return read.read(ID_BYTES)

    @classmethod
    def repr(cls, value: bytes) -> str:
        return value.hex()


class _MetadataAnswer(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataAnswer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    """The Metadata request version with topic ids, which aiokafka lacks."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = sorted(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class([(NO_ID, topic, {}) for topic in self._topics], False, False, {})


async def topic_ids(client: Any, topics: Collection[str]) -> Mapping[str, LogId]:
    """Ids and leader epochs of these topics; partitions without a leader are absent. Raises aiokafka's errors."""
    if not topics:
        return {}
    node = client.get_random_node()
    if node is None:
        raise KafkaConnectionError("no broker is known")
    try:
        answer = await client.send(node, _Metadata(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    log_ids = {}
    for error_code, name, topic_id, _, partitions, *_ in answer.topics:
        if not error_code and name and topic_id != NO_ID:
            epochs = {number: epoch for code, number, _, epoch, *_ in partitions if not code and epoch >= 0}
            log_ids[name] = LogId(topic_id.hex(), epochs)
    return log_ids
