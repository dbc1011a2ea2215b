"""One question to one Kafka node over a socket of its own, without a client and without an event loop.

    request -> ask(address, request) -> response

A client retries, refreshes and reconnects behind the tests' back; what looks at a broker, or
sets one up, should not. Which node to ask: kafka_topics.py, and kafka_cluster.py where there are
several. aiokafka knows the layout of most messages; five it lacks are below.
"""

import socket
import struct
from io import BytesIO
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

CLIENT_ID = "traderecon-tests"
ANSWER_S = 30


class BrokerError(Exception):
    """The broker answered with an error."""


class IncrementalAlterConfigsAnswer(Response):
    """Per resource: error code and message, type and name."""

    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class IncrementalAlterConfigs(RequestStruct):
    """Set (operation 0) single settings of a resource (type 2: a topic), leaving the others."""

    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = IncrementalAlterConfigsAnswer
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class AlterClientQuotasAnswer(Response):
    """Per entry: error code and message, and the entity."""

    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
            ),
        ),
    )


class AlterClientQuotas(RequestStruct):
    """Set or remove quotas of an entity; the name None is the default for all of its type."""

    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = AlterClientQuotasAnswer
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class CreateAclsAnswer(Response):
    """Per ACL: error code and message."""

    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class CreateAcls(RequestStruct):
    """Add ACLs: whom (``User:name``, from which host) is what allowed (permission 3), on what."""

    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = CreateAclsAnswer
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission", Int8),
            ),
        ),
    )


class DeleteAclsAnswer(Response):
    """Per filter: error code and message, and the ACLs that fitted it."""

    API_KEY = 31
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "filters",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                (
                    "found",
                    Array(
                        ("error_code", Int16),
                        ("error_message", String("utf-8")),
                        ("resource_type", Int8),
                        ("resource_name", String("utf-8")),
                        ("pattern_type", Int8),
                        ("principal", String("utf-8")),
                        ("host", String("utf-8")),
                        ("operation", Int8),
                        ("permission", Int8),
                    ),
                ),
            ),
        ),
    )


class DeleteAcls(RequestStruct):
    """Remove the ACLs that fit a filter; its fields are those of ``CreateAcls``."""

    API_KEY = 31
    API_VERSION = 1
    RESPONSE_TYPE = DeleteAclsAnswer
    SCHEMA = Schema(("filters", CreateAcls.SCHEMA.fields[0]))


QUORUM_TOPIC = "__cluster_metadata"
_VOTER = (("replica_id", Int32), ("log_end_offset", Int64), ("tags", TaggedFields))


class DescribeQuorumAnswer(Response):
    """Of the metadata log: error codes, the leader (the active controller), its epoch, and how far each copy is."""

    API_KEY = 55
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", CompactArray(*_VOTER)),
                        ("observers", CompactArray(*_VOTER)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeQuorum(RequestStruct):
    """Who leads the controllers, and how far they are. The metadata of a topic name any broker as the controller."""

    API_KEY = 55
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeQuorumAnswer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


def ask(address: str, request: Any, *, client_id: str = CLIENT_ID, within_s: float = ANSWER_S) -> Any:
    """The answer of the node at ``address`` (host:port). Raises OSError where nobody answers, TimeoutError included."""
    host, port = address.rsplit(":", 1)
    message = request.build_request_header(1, client_id).encode() + request.encode()
    with socket.create_connection((host, int(port)), within_s) as connection:
        connection.sendall(struct.pack(">i", len(message)) + message)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">i", exactly(stream.read(4), 4))
            answer = exactly(stream.read(length), length)
    body = BytesIO(answer)
    request.parse_response_header(body)
    return request.RESPONSE_TYPE.decode(body)


def exactly(received: bytes, length: int) -> bytes:
    """What was received, if it is all; a node that dies while answering closes early."""
    if len(received) != length:
        raise ConnectionError(f"the node closed after {len(received)} of {length} bytes")
    return received


def accepted(code: int, what: str, message: str | None = None) -> None:
    """Raise Refused for an error code other than 0."""
    if code:
        raise BrokerError(f"{what}: {for_code(code).__name__}" + (f": {message}" if message else ""))
