"""The state of a consumer group as its coordinator reports it: protocol and members.

describe(send, "traderecon-matching")  ->  GroupState("rules-1f3c...", 2, ("worker-7 at /10.0.0.5", ...))
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import NoError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest

from traderecon.transport.agreement import GroupState

UUID_CHARACTERS = 37


async def describe(send: Callable[[Any], Awaitable[Any]], group: str) -> GroupState:
    """Ask the coordinator through ``send``. Raises KafkaError if it does not describe the group."""
    answer = await send(DescribeGroupsRequest([group]))
    code, _, _, _, protocol, members, *_ = answer.groups[0]
    error = for_code(code)
    if error is not NoError:
        raise error(f"the coordinator does not describe the group {group}")
    hosts = sorted({f"{_name(member[0])} at {member[2].lstrip('/')}" for member in members})
    return GroupState(protocol, len(members), tuple(hosts))


def _name(member_id: str) -> str:
    """The worker's name, without the dash and UUID that the coordinator appends."""
    return member_id[:-UUID_CHARACTERS] or member_id
