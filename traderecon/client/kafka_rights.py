"""Rights of this client's principal on topics and groups, as reported by the broker. Changes nothing.

    admin + names  ->  {("topic", "legs"): {"Read", "Describe"}, ("group", "traderecon-sink"): set(), ...}

The broker reports the operations it would allow, with any authorizer; without an authorizer these are all.
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
FIRST_CODE = 3
"""Code of the first operation. In an answer, each operation is the bit with the number of its code."""
NO_RIGHTS = frozenset[str]()
BROKER_DEFAULT = -1


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
    """The Metadata request version with rights, which aiokafka lacks."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._topics, False, False, True)


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
    """The DescribeGroups request version with rights, whose answer aiokafka parses as the previous version."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_GroupsStruct]) -> _GroupsStruct:
        return request_struct_class([self._group], True)


async def rights_of_topics(admin: Any, topics: Collection[str]) -> Rights:
    """The rights on these topics. Raises aiokafka's errors if no broker answers."""
    if not topics:
        return {}
    try:
        answer = await admin._send_request(_Metadata(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    rights: dict[tuple[str, str], frozenset[str] | None] = {}
    for code, name, _, _, allowed in answer.topics:
        error = for_code(code)
        if error is TopicAuthorizationFailedError:
            rights[TOPIC, name] = await _rights_without_describe(admin, name)
        elif error is UnknownTopicOrPartitionError:
            rights[TOPIC, name] = None if await _may_create(admin, name) else frozenset(OPERATIONS) - {"Create"}
        else:
            rights[TOPIC, name] = _operations(allowed)
    return rights


async def _rights_without_describe(admin: Any, topic: str) -> frozenset[str]:
    """The rights on a topic without the right Describe: those that do not imply it are tried one by one."""
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    may_describe_configs = for_code(answer.resources[0][0]) is not TopicAuthorizationFailedError
    may_create = await _may_create(admin, topic)
    return frozenset([*(["DescribeConfigs"] if may_describe_configs else []), *(["Create"] if may_create else [])])


async def _may_create(admin: Any, topic: str) -> bool:
    """Whether this principal may create the topic; validated only, nothing is created."""
    answer = await admin.create_topics([NewTopic(topic, 1, BROKER_DEFAULT, {}, {})], validate_only=True)
    return for_code(answer.topic_errors[0][1]) is not TopicAuthorizationFailedError


async def rights_of_groups(admin: Any, groups: Collection[str]) -> Rights:
    """The rights on these groups, with or without members. Raises aiokafka's errors if no broker answers."""
    rights: dict[tuple[str, str], frozenset[str] | None] = {}
    for group in groups:
        try:
            answer = await admin._send_request(_Groups(group), await admin.find_coordinator(group))
        except GroupAuthorizationFailedError:
            rights[GROUP, group] = NO_RIGHTS
            continue
        except (IncompatibleBrokerVersion, NotImplementedError):
            return {}
        for code, *_, allowed in answer.groups:
            error = for_code(code)
            if error is GroupAuthorizationFailedError:
                rights[GROUP, group] = NO_RIGHTS
            elif error is NoError:
                rights[GROUP, group] = _operations(allowed)
            else:
                raise (
                    error(f"the broker does not describe the group {group}")
                    if error.retriable
                    else NotAccepted(f"the broker does not describe the group {group}: {error.__name__}")
                )
    return rights


def _operations(bits: int) -> frozenset[str]:
    return frozenset(name for code, name in enumerate(OPERATIONS, FIRST_CODE) if bits >> code & 1)
