"""Rights: what a Kafka lets our principal do with topics and groups, asked of the broker itself. Nothing is changed.

    admin + names  ->  {("topic", "legs"): {"Read", "Describe"}, ("group", "traderecon-sink"): set(), ...}

A broker answers with the operations it would allow, whatever its authorizer; without one that is all of them.
"""

from collections.abc import Collection
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from traderecon.client.client import GROUP, TOPIC, Rights
from traderecon.transport.errors import NotAccepted

OPERATIONS = ("Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs")
FIRST = 3
"""The code of the first operation; a right is the bit of its code."""
NOBODY = frozenset[str]()
AS_THE_BROKER_SAYS = -1


class _MetadataAnswer(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataAnswer
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    """The version that tells rights, which aiokafka lacks."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._topics, False, False, True)  # the wire's order


class _GroupsAnswer(Response):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", String("utf-8")),
                ("state", String("utf-8")),
                ("protocol_type", String("utf-8")),
                ("protocol", String("utf-8")),
                (
                    "members",
                    Array(
                        ("member_id", String("utf-8")),
                        ("client_id", String("utf-8")),
                        ("client_host", String("utf-8")),
                        ("member_metadata", Bytes),
                        ("member_assignment", Bytes),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _GroupsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = _GroupsAnswer
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _Groups(Request[_GroupsStruct]):  # type: ignore[misc]
    """The version that tells rights; aiokafka reads its answer as that of the version before, without them."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupsStruct]) -> _GroupsStruct:
        return request_struct_class([self._group], True)


async def rights_of_topics(admin: Any, topics: Collection[str]) -> Rights:
    """What we may do with topics. Raises as aiokafka does where nobody answers."""
    if not topics:
        return {}
    try:
        answer = await admin._send_request(_Metadata(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    found: dict[tuple[str, str], frozenset[str] | None] = {}
    for code, name, _, _, allowed in answer.topics:
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            found[TOPIC, name] = await _unseen(admin, name)
        elif error is UnknownTopicOrPartitionError:
            found[TOPIC, name] = None if await _may_make(admin, name) else frozenset(OPERATIONS) - {"Create"}
        else:
            found[TOPIC, name] = _operations(allowed)
    return found


async def _unseen(admin: Any, topic: str) -> frozenset[str]:
    """What we may do with a topic that we may not even see: what does not include seeing it is asked for one by one."""
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    looks = for_code(answer.resources[0][0]) is not TopicAuthorizationFailedError
    makes = await _may_make(admin, topic)
    return frozenset([*(["DescribeConfigs"] if looks else []), *(["Create"] if makes else [])])


async def _may_make(admin: Any, topic: str) -> bool:
    """Whether a topic would be made for us, if it were not there; nothing is made."""
    answer = await admin.create_topics([NewTopic(topic, 1, AS_THE_BROKER_SAYS, {}, {})], validate_only=True)
    return for_code(answer.topic_errors[0][1]) is not TopicAuthorizationFailedError


async def rights_of_groups(admin: Any, groups: Collection[str]) -> Rights:
    """What we may do with groups, whether they have members or not. Raises as aiokafka does where nobody answers."""
    found: dict[tuple[str, str], frozenset[str] | None] = {}
    for group in groups:
        try:
            answer = await admin._send_request(_Groups(group), await admin.find_coordinator(group))
        except GroupAuthorizationFailedError:
            found[GROUP, group] = NOBODY
            continue
        except (IncompatibleBrokerVersion, NotImplementedError):
            return {}
        for code, *_, allowed in answer.groups:
            error = for_code(code)
            if error is GroupAuthorizationFailedError:
                found[GROUP, group] = NOBODY
            elif error is NoError:
                found[GROUP, group] = _operations(allowed)
            else:
                raise (
                    error(f"the broker does not describe the group {group}")
                    if error.retriable
                    else NotAccepted(f"the broker does not describe the group {group}: {error.__name__}")
                )
    return found


def _operations(bits: int) -> frozenset[str]:
    return frozenset(name for code, name in enumerate(OPERATIONS, FIRST) if bits >> code & 1)
