"""A client of the log: what stands outside every worker and makes topics, looks at them and appends to them.

    async with connect("kafka://host:9092", data_dir) as client:
        await client.create(topic, 4)
        await client.append("executions", 0, [Outgoing(b"T1", b"{...}")])     acknowledged when it returns

The same calls on Kafka and on the embedded log. Trouble has a class per exit code: ``NoAnswer`` 4, ``NotAccepted`` 78.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from traderecon.topics import Topic
from traderecon.transport.agreement import GroupState
from traderecon.transport.microbatch import Outgoing, Record

CONNECT_S = 10.0
"""A broker that says nothing for so long is not there."""
PATIENCE_S = 60.0
"""An append that nobody acknowledges is given up after this long."""


TOPIC, GROUP = "topic", "group"

Rights = Mapping[tuple[str, str], frozenset[str] | None]
"""(``topic`` or ``group``, its name) -> what we may do with it (``Read``, ``Write``, ...); None: a topic to be made."""


class Created(NamedTuple):
    """What became of a request to make a topic: whether it is new, and how many partitions it has now."""

    topic: str
    made: bool
    partitions: int


class Copies(NamedTuple):
    """How many brokers the cluster has, and how many copies each topic: of its partition that has the fewest."""

    brokers: int
    topics: Mapping[str, int]


class OpenTransaction(NamedTuple):
    """A transaction that hides records of a partition: its first record, when that was written, offsets behind it."""

    partition: int
    first_offset: int
    since_ms: int
    behind: int


class GroupPosition(NamedTuple):
    """Where a group reads on in a partition (None: it has never read it), and what the log has: from low up to high."""

    committed: int | None
    low: int
    high: int


class Client(Protocol):
    """A connection to the log. Every call raises a ``ClientError`` when it cannot be answered."""

    @property
    def where(self) -> str:
        """The log's address as a person would write it, without secrets."""
        ...

    @property
    def principal(self) -> str:
        """Who the log takes us for, as its ACLs write it."""
        ...

    async def cluster_id(self) -> str:
        """What tells this log from any other: the cluster's id, or the id an embedded log was given when made."""
        ...

    async def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions."""
        ...

    async def copies(self) -> Copies:
        """The brokers there are, and how many of them have each topic."""
        ...

    async def create(self, topic: Topic, partitions: int) -> Created:
        """Make a topic, or find it; one that is there keeps the partitions and settings it has."""
        ...

    async def config(self, topic: str) -> Mapping[str, str]:
        """A topic's settings: ``cleanup.policy``, ``message.timestamp.type``, ``max.message.bytes`` at least."""
        ...

    async def rights(self, topics: Collection[str], groups: Collection[str]) -> Rights:
        """What our principal may do with these; one that is left out is not asked about by anybody here."""
        ...

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> None:
        """Write rows to a partition, in order, and wait until they are durable.

        Tried again while trouble is transient, so a row may come twice.
        """
        ...

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The offset of the next record of each partition."""
        ...

    def read(self, topic: str, partition: int, first: int = 0) -> AsyncIterator[Sequence[Record]]:
        """The records from an offset on, up to the end as it is now, in order, some at a time; one read at a time."""
        ...

    async def position(self, group: str, topic: str, partition: int) -> GroupPosition:
        """Where a group reads on in a partition."""
        ...

    async def committed(self, group: str, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
        """The next offset of each topic and partition that a group has committed."""
        ...

    async def group(self, group: str) -> GroupState:
        """Who is in a group, and what they have agreed on; a group nobody knows is empty."""
        ...

    async def require_empty(self, group: str) -> None:
        """NotAccepted while somebody is in a group."""
        ...

    async def move(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Have a group that nobody is in read on at an offset; NotAccepted while somebody is."""
        ...

    async def open_transactions(self, topic: str) -> Sequence[OpenTransaction]:
        """The oldest transaction of each partition that is open now; a healthy producer may have one as well."""
        ...

    async def leaderless(self, topic: str) -> Sequence[int]:
        """The partitions without a leader: they can be neither read nor written."""
        ...

    async def has_records_since(self, topic: str, timestamp_ms: int) -> bool:
        """Whether a record has this timestamp (ms since 1970, UTC) or a later one."""
        ...
