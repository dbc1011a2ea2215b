"""Group: the members of the workload's consumer group, and which of them have been consuming.

    broker's description + committed offsets  ->  Watch: members, consuming

Workers are static members: a member id is the instance's name and a suffix that is new for every process. A member has
consumed once the committed offset of one of its partitions advanced while it owned the partition.
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

POLL_EVERY_S = 0.2
UNREACHABLE = 4
ALLOWED_AFTER_S = 5


@dataclass(frozen=True)
class Member:
    """One process of a worker as a member of the group."""

    member_id: str
    client_id: str
    partitions: frozenset[int]

    @property
    def instance(self) -> str:
        """The member's name: the id without the suffix that makes it unique (a dash and a UUID)."""
        return self.member_id[:-37]

    def of(self, worker: str) -> bool:
        """Whether it is a process of this worker: the first has the worker's name, the others a number appended."""
        name, _, number = self.instance.rpartition("-")
        return self.instance == worker or (name == worker and number.isdecimal())


def members_of(kafka: Topics, group: str, topic: str) -> dict[str, Member]:
    """The members by instance, with their partitions of ``topic``. Raises OSError or BrokerError."""
    ((code, _, _, _, _, member_rows),) = kafka.ask_coordinator(group, DescribeGroupsRequest_v0([group])).groups
    accepted(code, f"describe group {group}")
    members = {}
    for member_id, client_id, _, _, assignment in member_rows:
        assigned = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else []
        partitions = frozenset(number for name, numbers in assigned if name == topic for number in numbers)
        member = Member(member_id, client_id, partitions)
        members[member.instance] = member
    return members


@dataclass
class Watch:
    """The group as last described, and what was observed so far. ``broker_up``: whether the last poll succeeded."""

    kafka: Topics
    group: str
    topic: str
    partitions: int
    members: Mapping[str, Member] = field(default_factory=dict)
    committed: Mapping[int, int] = field(default_factory=dict)
    broker_up: bool = False
    unanswered_at_s: float = -inf
    """When the broker last failed to answer, in monotonic seconds."""
    consumed_ids: set[str] = field(default_factory=set)
    """The ids of members that have been consuming."""
    known_ids: set[str] = field(default_factory=set)
    """The ids of all members ever listed."""
    last_commit_s: float = -inf
    """When a committed offset last advanced, in monotonic seconds."""
    _allowed_until: dict[int, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def allow_exits(self, *codes: int) -> Iterator[None]:
        """Allow workers to exit with these codes while this lasts, and shortly after."""
        self._allowed_until |= dict.fromkeys(codes, inf)
        try:
            yield
        finally:
            self._allowed_until |= dict.fromkeys(codes, time.monotonic() + ALLOWED_AFTER_S)

    def allows_exit(self, code: int, now_s: float) -> bool:
        """Whether a fault explains an exit with this code now."""
        unreachable = code == UNREACHABLE and now_s - self.unanswered_at_s < ALLOWED_AFTER_S
        return unreachable or now_s < self._allowed_until.get(code, -inf)

    def poll(self) -> None:
        """Ask the broker once. Raises OSError or BrokerError."""
        members = members_of(self.kafka, self.group, self.topic)
        committed = self.commits()
        advanced = {number for number, offset in committed.items() if offset > self.committed.get(number, 0)}
        for member in members.values():
            if self.members.get(member.instance) == member and member.partitions & advanced:
                self.consumed_ids.add(member.member_id)
        if advanced:
            self.last_commit_s = time.monotonic()
        self.members, self.committed = members, committed
        self.known_ids |= {member.member_id for member in members.values()}

    def members_of(self, worker: str) -> list[Member]:
        """The members that are processes of one worker."""
        return [member for member in self.members.values() if member.of(worker)]

    def commits(self) -> dict[int, int]:
        """The committed offset per input partition, where there is one."""
        offsets = {number: self.kafka.committed(self.group, self.topic, number) for number in range(self.partitions)}
        return {number: offset for number, offset in offsets.items() if offset is not None}

    async def keep_polling(self) -> None:
        """Poll until cancelled, through outages of the broker."""
        while True:
            try:
                await asyncio.to_thread(self.poll)
                self.broker_up = True
            except OSError:
                self.broker_up = False
                self.unanswered_at_s = time.monotonic()
            except BrokerError:  # a broker answered: another one is taking over as coordinator
                self.broker_up = False
            await asyncio.sleep(POLL_EVERY_S)
