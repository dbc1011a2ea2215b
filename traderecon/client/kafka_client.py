"""The client of a Kafka: topics by its admin protocol, records in batches that every replica in sync acknowledges."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    BrokerNotAvailableError,
    CommitFailedError,
    IllegalGenerationError,
    InvalidReplicationFactorError,
    KafkaError,
    KafkaTimeoutError,
    RebalanceInProgressError,
    TopicAlreadyExistsError,
    UnknownError,
    UnknownMemberIdError,
    UnknownTopicOrPartitionError,
    for_code,
)

from traderecon.addresses import servers as servers_of
from traderecon.client.client import CONNECT_S, PATIENCE_S, Copies, Created, GroupPosition, Rights
from traderecon.client.connect_error import refusal
from traderecon.client.kafka_admin import Admin, once_ready
from traderecon.client.kafka_batches import add, batches
from traderecon.client.kafka_diagnosis import Diagnosis
from traderecon.client.kafka_rights import rights_of_groups, rights_of_topics
from traderecon.topics import Topic
from traderecon.transport import connections, fetched_records
from traderecon.transport.agreement import GroupState
from traderecon.transport.codecs import MissingCodec
from traderecon.transport.errors import NoAnswer, NotAccepted, NoTopic
from traderecon.transport.kafka_groups import describe
from traderecon.transport.microbatch import BATCH_BYTES, Outgoing, Record
from traderecon.transport.security import PLAINTEXT, Security, denied

AS_THE_BROKER_SAYS = -1
"""A replication factor: the broker's ``default.replication.factor``."""
AGAIN_S = 0.1
CLIENT_ID = "traderecon"
LEFT_S = 15.0
"""A worker keeps its place in a group for ten seconds after it has ended."""
READY_S = 20.0
"""How long to retry while topics cannot be made or a group has no coordinator: a broker just started, or just died."""
NOT_READY = (InvalidReplicationFactorError, BrokerNotAvailableError, UnknownError)
"""What a Kafka says whose brokers have not all joined yet. aiokafka counts these among what does not pass."""
MEMBERS = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
"""What a broker says to who would commit for a group that has members."""

T = TypeVar("T")


class KafkaClient(Diagnosis):
    """A client of the brokers at ``servers``, see ``Client``."""

    def __init__(self, servers: Sequence[str], security: Security, admin: Any, parts: AsyncExitStack) -> None:
        connections.take_over()
        fetched_records.take_over()
        self.where = f"the Kafka at {', '.join(servers)}"
        self._servers = list(servers)
        self._security = security
        self._admin = admin
        self._parts = parts
        self._producer: Any = None
        self._reader: Any = None
        self._committed_reader: Any = None
        self._starting = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, broker: str, security: Security = PLAINTEXT, *, within_s: float = CONNECT_S
    ) -> AsyncIterator[Self]:
        """A client of ``kafka://host:port;host:port``; NoAnswer when none of them answers in time.

        NotAccepted says why one that answers does not let us in.
        """
        servers = servers_of(broker)
        async with AsyncExitStack() as parts:
            admin = Admin(
                bootstrap_servers=servers,
                client_id=CLIENT_ID,
                request_timeout_ms=int(within_s * 1000),
                **security.arguments(),
            )
            client = cls(servers, security, admin, parts)
            parts.push_async_callback(admin.close)
            await client._answered(admin.start(), within_s)
            yield client

    @property
    def principal(self) -> str:
        """Who the broker takes us for, see ``Security``."""
        return self._security.principal

    async def cluster_id(self) -> str:
        """The id the cluster was formatted with."""
        found = (await self._answered(self._admin.describe_cluster())).get("cluster_id")
        if not found:
            raise NotAccepted(f"{self.where} does not tell the id of its cluster: it is older than Kafka 0.10.1")
        return str(found)

    async def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions; Kafka's own topics are left out."""
        until = monotonic() + CONNECT_S
        while True:
            found = await self._answered(self._admin.describe_topics())
            if monotonic() > until or not any(for_code(topic["error_code"]).retriable for topic in found):
                break
            await asyncio.sleep(AGAIN_S)  # one that has just started does not know its topics' leaders yet
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in found
            if not topic["error_code"] and not topic["is_internal"]
        }

    async def copies(self) -> Copies:
        """The brokers that live, and the copies of each topic, in sync or not."""
        found = await self._answered(self._admin.describe_cluster())
        topics = await self._answered(self._admin.describe_topics())
        copies = {
            topic["topic"]: min(len(one["replicas"]) for one in topic["partitions"])
            for topic in topics
            if not topic["error_code"] and topic["partitions"]
        }
        return Copies(len(found["brokers"]), copies)

    async def create(self, topic: Topic, partitions: int) -> Created:
        """Make a topic with its settings, and wait until it can be used; or find it as it is."""
        if (there := (await self.topics()).get(topic.name)) is not None:
            return Created(topic.name, False, there)
        until = monotonic() + READY_S
        while True:
            wanted = NewTopic(topic.name, partitions, AS_THE_BROKER_SAYS, {}, dict(topic.config()))
            answer = await self._answered(self._admin.create_topics([wanted]))
            _, code, *said = answer.topic_errors[0]
            if code == 0:
                await self._usable(topic.name, monotonic() + CONNECT_S)
                return Created(topic.name, True, partitions)
            error = for_code(code)
            if error is TopicAlreadyExistsError:  # somebody else has just made it
                await self._usable(topic.name, monotonic() + CONNECT_S)
                return Created(topic.name, False, (await self.topics())[topic.name])
            if said_no := denied(error(topic.name), self._security.principal, operation="Create"):
                raise NotAccepted(said_no)
            if not (error.retriable or error in NOT_READY) or monotonic() > until:
                raise NotAccepted(
                    f"{self.where} did not make the topic {topic.name}: {error.__name__}, {said[0] if said else ''}. "
                    "Make it with Kafka's own tools, or as a user who may."
                )
            await asyncio.sleep(AGAIN_S)

    async def config(self, topic: str) -> Mapping[str, str]:
        """A topic's settings as the broker has them, defaults included."""
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        (answer,) = await self._answered(self._admin.describe_configs(asked))
        code, said, _, _, entries = answer.resources[0]
        if for_code(code) is UnknownTopicOrPartitionError:
            raise self._no_topic(topic)
        if said_no := denied(for_code(code)(topic), self._security.principal, operation="DescribeConfigs"):
            raise NotAccepted(said_no)
        if code:
            raise NotAccepted(f"{self.where} does not show the settings of {topic}: {for_code(code).__name__}, {said}")
        return {entry[0]: entry[1] or "" for entry in entries}

    async def rights(self, topics: Collection[str], groups: Collection[str]) -> Rights:
        """What our principal may do; nothing is said of what a broker before 2.3 is silent about."""
        found = await self._answered(rights_of_topics(self._admin, topics))
        return {**found, **await self._about_groups(lambda: rights_of_groups(self._admin, groups))}

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> None:
        """Write rows to a partition, in order; what is transient is tried again for ``PATIENCE_S``."""
        if not rows:
            return
        producer = await self._sending(topic, partition)
        until = monotonic() + PATIENCE_S
        for wire, batch in batches(producer, rows):
            await self._append(producer, topic, partition, batch, wire, until)

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The offset of the next record of each partition."""
        reader = await self._reading()
        ends = await self._answered(reader.end_offsets(await self._partitions(topic)))
        return {tp.partition: end for tp, end in ends.items()}

    async def read(self, topic: str, partition: int, first: int = 0) -> AsyncIterator[Sequence[Record]]:
        """The records from an offset on, up to the end as it is now, in order, some at a time; one read at a time."""
        if partition >= len(await self._partitions(topic)):
            raise self._no_topic(f"{topic}[{partition}]")
        reader, place = await self._reading(), TopicPartition(topic, partition)
        end = (await self._answered(reader.end_offsets([place])))[place]
        low = (await self._answered(reader.beginning_offsets([place])))[place]
        reader.assign([place])
        reader.seek(place, max(first, low))
        until = monotonic() + PATIENCE_S
        while await self._answered(reader.position(place)) < end:
            try:
                found = await self._answered(reader.getmany(place, timeout_ms=500))
            except MissingCodec as error:
                raise NotAccepted(f"{topic}[{partition}] of {self.where}: {error}") from error
            if records := [record for record in found.get(place, ()) if record.offset < end]:
                yield records
                until = monotonic() + PATIENCE_S
            elif monotonic() > until:
                raise NoAnswer(f"{self.where} gave nothing of {topic}[{partition}] for {PATIENCE_S:.0f} s: is it up?")

    async def position(self, group: str, topic: str, partition: int) -> GroupPosition:
        """Where a group reads on in a partition."""
        reader, place = await self._reading(), TopicPartition(topic, partition)
        if partition >= len(await self._partitions(topic)):
            raise self._no_topic(f"{topic}[{partition}]")
        low = (await self._answered(reader.beginning_offsets([place])))[place]
        high = (await self._answered(reader.end_offsets([place])))[place]
        found = await self._about_groups(lambda: self._admin.list_consumer_group_offsets(group, partitions=[place]))
        at = found[place].offset if place in found else -1
        return GroupPosition(at if at >= 0 else None, low, high)

    async def committed(self, group: str, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
        """The next offset of each topic and partition that a group has committed."""
        asked = [
            TopicPartition(topic, number)
            for topic, count in (await self.topics()).items()
            if topic in topics
            for number in range(count)
        ]
        if not asked:
            return {}
        found = await self._about_groups(lambda: self._admin.list_consumer_group_offsets(group, partitions=asked))
        return {(place.topic, place.partition): at.offset for place, at in found.items() if at.offset >= 0}

    async def group(self, group: str) -> GroupState:
        """Who is in a group, and what they have agreed on; a group nobody knows is empty."""

        async def asked() -> GroupState:
            coordinator = await self._admin.find_coordinator(group)
            return await describe(lambda request: self._admin._send_request(request, coordinator), group)

        return await self._about_groups(asked)

    async def require_empty(self, group: str) -> None:
        """NotAccepted while somebody is in a group; who has just left may be in it for a while."""
        until = monotonic() + LEFT_S
        while (state := await self.group(group)).members:
            if monotonic() > until:
                raise NotAccepted(f"{self.where}: the group {group} has members ({', '.join(state.hosts)}): stop them")
            await asyncio.sleep(AGAIN_S)

    async def move(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Have a group that nobody is in read on at an offset; NotAccepted while somebody is."""
        mover = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            client_id=CLIENT_ID,
            group_id=group,
            enable_auto_commit=False,
            request_timeout_ms=int(CONNECT_S * 1000),
            **self._security.arguments(),
        )
        place, until = TopicPartition(topic, partition), monotonic() + LEFT_S
        try:
            await self._answered(mover.start())
            mover.assign([place])
            while True:
                try:
                    await asyncio.wait_for(mover.commit({place: offset}), CONNECT_S)
                    return
                except MEMBERS:
                    if monotonic() > until:
                        raise
                    await asyncio.sleep(AGAIN_S)
        except MEMBERS as error:
            raise NotAccepted(f"{self.where}: the group {group} has members: stop who reads {topic}") from error
        except (KafkaError, TimeoutError) as error:
            raise NotAccepted(f"{self.where} did not move {group} in {topic}[{partition}]: {error!r}") from error
        finally:
            await mover.stop()

    async def _append(  # noqa: PLR0917  # one batch, and where it goes
        self, producer: Any, topic: str, partition: int, rows: Sequence[Outgoing], wire: Any, until: float
    ) -> None:
        while True:
            try:
                await (await producer.send_batch(wire, topic, partition=partition))
                return
            except KafkaError as error:
                if said_no := denied(error, self._security.principal, operation="Write"):
                    raise NotAccepted(said_no) from error
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise NotAccepted(
                        f"{topic}[{partition}] of {self.where} refused {len(rows)} records, the first with the key "
                        f"{rows[0].key!r}: {error}. Look at the topic's settings and rights."
                    ) from error
                if monotonic() > until:
                    raise NoAnswer(
                        f"{self.where} did not acknowledge {len(rows)} records for {topic}[{partition}] "
                        f"within {PATIENCE_S:.0f} s ({error}): is it up, are its replicas in sync?"
                    ) from error
                await asyncio.sleep(AGAIN_S)
                wire = producer.create_batch()
                for row in rows:
                    add(wire, row)

    async def _usable(self, topic: str, until: float) -> None:
        """Wait until every partition of a new topic has a leader."""
        while monotonic() < until:
            (found,) = await self._answered(self._admin.describe_topics([topic]))
            if not found["error_code"] and all(not one["error_code"] for one in found["partitions"]):
                return
            await asyncio.sleep(AGAIN_S)
        raise NoAnswer(f"{self.where} has no leader for the new topic {topic} after {CONNECT_S:.0f} s: look at its log")

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        count = (await self.topics()).get(topic)
        if count is None:
            raise self._no_topic(topic)
        return [TopicPartition(topic, number) for number in range(count)]

    async def _sending(self, topic: str, partition: int) -> Any:
        """The producer, started by the first append; NoTopic where it would wait for a topic that never comes."""
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    client_id=CLIENT_ID,
                    acks="all",
                    max_batch_size=BATCH_BYTES,
                    max_request_size=BATCH_BYTES + 100_000,
                    request_timeout_ms=int(PATIENCE_S * 500),
                    **self._security.arguments(),
                )
                self._parts.push_async_callback(producer.stop)
                await self._answered(producer.start())
                self._producer = producer
            if partition not in (self._producer.client.cluster.partitions_for_topic(topic) or ()):
                if partition >= (await self.topics()).get(topic, 0):
                    raise self._no_topic(f"{topic}[{partition}]")
                await self._answered(self._producer.partitions_for(topic))
        return self._producer

    async def _reading(self) -> Any:
        async with self._starting:
            if self._reader is None:
                self._reader = await self._reader_of("read_uncommitted")
        return self._reader

    async def _reader_of(self, isolation_level: str) -> Any:
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            client_id=CLIENT_ID,
            isolation_level=isolation_level,
            request_timeout_ms=int(CONNECT_S * 1000),
            **self._security.arguments(),
        )
        self._parts.push_async_callback(reader.stop)
        await self._answered(reader.start())
        return reader

    async def _about_groups(self, question: Callable[[], Awaitable[T]]) -> T:
        return await self._answered(once_ready(question, READY_S), READY_S + CONNECT_S)

    async def _answered(self, call: Awaitable[T], within_s: float = CONNECT_S) -> T:
        """What the broker answers; NoAnswer when it does not, in time; NotAccepted when it says that we may not."""
        try:
            return await asyncio.wait_for(call, within_s)
        except (KafkaError, OSError, TimeoutError) as error:
            if said_no := denied(error, self._security.principal, operation="Describe"):
                raise NotAccepted(said_no) from error
            if not isinstance(error, TimeoutError) and (said_no := await self._refused()):
                raise NotAccepted(said_no) from error
            late = f" within {within_s:.0f} s" if isinstance(error, TimeoutError) else ""
            raise NoAnswer(
                f"no answer from {self.where}{late}: is it running, and is TRADERECON_BROKER right?"
            ) from error

    async def _refused(self) -> str | None:
        """Why a server, or a broker that it named to us, does not let us in; None where none of them says so."""
        known = self._admin._client
        servers = [(host, port) for host, port, _ in known.hosts]
        named = [(broker.host, broker.port) for broker in known.cluster.brokers()]
        return await refusal(dict.fromkeys(servers + named), self._security, CONNECT_S)

    def _no_topic(self, topic: str) -> NoTopic:
        return NoTopic(f"there is no {topic} in {self.where}: `traderecon topics create` makes what is missing")
