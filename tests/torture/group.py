"""Group: who is a member of the workload's consumer group, and who has been consuming.

    broker's description + committed offsets  ->  Watch: members, consuming

Workers are static members: the broker makes a member's id from the instance's name and a suffix that is new with every
life. A life has been consuming once a commit moved in one of its input partitions while it had them.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.admin import DescribeGroupsRequest_v0
from broker.kafka_topics import Topics
from broker.kafka_wire import BrokerError, accepted

LOOK_EVERY_S = 0.2
UNREACHABLE = 4
JUST_NOW_S = 5


@dataclass(frozen=True)
class Member:
    """One life of one process of a worker as the broker knows it."""

    member_id: str
    client_id: str
    partitions: frozenset[int]

    @property
    def instance(self) -> str:
        """The member's name: the id without the suffix that makes it unique (a dash and a UUID)."""
        return self.member_id[:-37]

    def of(self, worker: str) -> bool:
        """Whether it is a process of this worker: the first has the worker's name, the others a number behind it."""
        name, _, number = self.instance.rpartition("-")
        return self.instance == worker or (name == worker and number.isdecimal())


def members_of(kafka: Topics, group: str, topic: str) -> dict[str, Member]:
    """The members by instance, with their partitions of ``topic``. Raises OSError or Refused where none can be had."""
    ((code, _, _, _, _, described),) = kafka.ask_coordinator(group, DescribeGroupsRequest_v0([group])).groups
    accepted(code, f"describe group {group}")
    members = {}
    for member_id, client_id, _, _, assignment in described:
        assigned = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else []
        partitions = frozenset(number for name, numbers in assigned if name == topic for number in numbers)
        member = Member(member_id, client_id, partitions)
        members[member.instance] = member
    return members


@dataclass
class Watch:
    """What the broker said last, and what was seen so far. ``broker_up`` is whether it said it just now."""

    kafka: Topics
    group: str
    topic: str
    partitions: int
    members: Mapping[str, Member] = field(default_factory=dict)
    committed: Mapping[int, int] = field(default_factory=dict)
    broker_up: bool = False
    silent_at_s: float = -inf
    """When, in monotonic seconds, the broker gave no answer last."""
    consumed: set[str] = field(default_factory=set)
    """The member ids that have been consuming."""
    known: set[str] = field(default_factory=set)
    """Every member id there ever was."""
    moved_at_s: float = -inf
    """When, in monotonic seconds, a commit was seen to move last."""
    _excuses: dict[int, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def excused(self, *codes: int) -> Iterator[None]:
        """While it lasts, and just after, a worker may end with these codes."""
        self._excuses |= dict.fromkeys(codes, inf)
        try:
            yield
        finally:
            self._excuses |= dict.fromkeys(codes, time.monotonic() + JUST_NOW_S)

    def excuses(self, code: int, now_s: float) -> bool:
        """Whether there is a reason outside the worker to end with this code now."""
        alone = code == UNREACHABLE and now_s - self.silent_at_s < JUST_NOW_S
        return alone or now_s < self._excuses.get(code, -inf)

    def look(self) -> None:
        """Ask the broker once. Raises OSError or Refused where it does not answer."""
        members = members_of(self.kafka, self.group, self.topic)
        committed = self.commits()
        moved = {number for number, offset in committed.items() if offset > self.committed.get(number, 0)}
        for member in members.values():
            if self.members.get(member.instance) == member and member.partitions & moved:
                self.consumed.add(member.member_id)
        if moved:
            self.moved_at_s = time.monotonic()
        self.members, self.committed = members, committed
        self.known |= {member.member_id for member in members.values()}

    def members_of(self, worker: str) -> list[Member]:
        """The members that are processes of one worker."""
        return [member for member in self.members.values() if member.of(worker)]

    def commits(self) -> dict[int, int]:
        """The committed offset per input partition, where there is one."""
        offsets = {number: self.kafka.committed(self.group, self.topic, number) for number in range(self.partitions)}
        return {number: offset for number, offset in offsets.items() if offset is not None}

    async def keep_looking(self) -> None:
        """Look until cancelled, over every outage of the broker."""
        while True:
            try:
                await asyncio.to_thread(self.look)
                self.broker_up = True
            except OSError:
                self.broker_up = False
                self.silent_at_s = time.monotonic()
            except BrokerError:  # it does answer; of several brokers another one is taking over
                self.broker_up = False
            await asyncio.sleep(LOOK_EVERY_S)
