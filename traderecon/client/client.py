"""The client interface to a log outside any worker: create topics, inspect them, append to them.

    async with connect("kafka://host:9092", data_dir) as client:
        await client.create(topic, 4)
        await client.append("executions", 0, [Outgoing(b"T1", b"{...}")])     acknowledged when it returns

The same for Kafka and the embedded log. Errors have one class per exit code: ``NoAnswer`` 4, ``NotAccepted`` 78.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from traderecon.topics import Topic
from traderecon.transport.agreement import GroupState
from traderecon.transport.microbatch import Outgoing, Record

CONNECT_S = 10.0
"""Time limit for a broker's answer."""
PATIENCE_S = 60.0
"""Time limit for the acknowledgement of an append."""


TOPIC, GROUP = "topic", "group"

Rights = Mapping[tuple[str, str], frozenset[str] | None]
"""(``topic`` or ``group``, name) -> allowed operations (``Read``, ...); None: a missing topic that may be created."""


class TopicCreation(NamedTuple):
    """The result of creating a topic: whether it is new, and its number of partitions."""

    topic: str
    is_new: bool
    partitions: int


class ReplicaCounts(NamedTuple):
    """The number of brokers, and the replicas of each topic (of its partition with the fewest)."""

    brokers: int
    topics: Mapping[str, int]


class OpenTransaction(NamedTuple):
    """A transaction that blocks a partition: its first record, when that was written, number of offsets behind it."""

    partition: int
    first_offset: int
    since_ms: int
    behind: int


class GroupPosition(NamedTuple):
    """A group's committed offset in a partition (None without one), and the bounds of the log."""

    committed: int | None
    low: int
    high: int


class Client(Protocol):
    """A connection to the log. A call that fails raises a ``ClientError``."""

    @property
    def where(self) -> str:
        """The log's address for people to read, without secrets."""
        ...

    @property
    def principal(self) -> str:
        """This client's principal, as written in the log's ACLs."""
        ...

    async def cluster_id(self) -> str:
        """The unique id of the cluster or the embedded log."""
        ...

    async def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions."""
        ...

    async def replica_counts(self) -> ReplicaCounts:
        """The number of brokers and of replicas of each topic."""
        ...

    async def create(self, topic: Topic, partitions: int) -> TopicCreation:
        """Create a topic unless it exists; an existing one keeps its partitions and settings."""
        ...

    async def config(self, topic: str) -> Mapping[str, str]:
        """A topic's settings: ``cleanup.policy``, ``message.timestamp.type``, ``max.message.bytes`` at least."""
        ...

    async def rights(self, topics: Collection[str], groups: Collection[str]) -> Rights:
        """The rights of this principal on these. Absent: the log does not report rights, or does not check them."""
        ...

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> None:
        """Write rows to a partition, in order, and wait until they are durable.

        Transient errors are retried, so a row may be written twice.
        """
        ...

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The offset of the next record of each partition."""
        ...

    def read(self, topic: str, partition: int, first: int = 0) -> AsyncIterator[Sequence[Record]]:
        """Read records from an offset to the current end, in order, in steps; only one read at a time."""
        ...

    async def position(self, group: str, topic: str, partition: int) -> GroupPosition:
        """A group's position in a partition."""
        ...

    async def committed(self, group: str, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
        """The next offset of each topic and partition that a group has committed."""
        ...

    async def group(self, group: str) -> GroupState:
        """Members and protocol of a group; an unknown group is empty."""
        ...

    async def require_empty(self, group: str) -> None:
        """NotAccepted while the group has members."""
        ...

    async def move(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Set a group's committed offset; NotAccepted while the group has members."""
        ...

    async def open_transactions(self, topic: str) -> Sequence[OpenTransaction]:
        """The oldest open transaction of each partition; a healthy producer may have one, too."""
        ...

    async def leaderless(self, topic: str) -> Sequence[int]:
        """The partitions without a leader, which can be neither read nor written."""
        ...

    async def has_records_since(self, topic: str, timestamp_ms: int) -> bool:
        """Whether a record has this timestamp (ms since 1970, UTC) or a later one."""
        ...
