"""The client of Kafka: topics through the admin protocol, records in batches acknowledged by all in-sync replicas."""

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
from traderecon.client.client import CONNECT_S, PATIENCE_S, GroupPosition, ReplicaCounts, Rights, TopicCreation
from traderecon.client.connect_error import rejection_reason
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

BROKER_DEFAULT = -1
"""A replication factor: the broker's ``default.replication.factor``."""
RETRY_S = 0.1
CLIENT_ID = "traderecon"
LEAVE_S = 15.0
"""How long to wait for members to leave: a dead worker stays in its group for a session timeout of 10 s."""
READY_S = 20.0
"""How long to retry while a broker that just started or died makes topics or coordinators unavailable."""
NOT_READY_ERRORS = (InvalidReplicationFactorError, BrokerNotAvailableError, UnknownError)
"""Errors of a cluster whose brokers have not all joined yet; aiokafka wrongly marks them as not retriable."""
HAS_MEMBERS_ERRORS = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
"""Errors of a commit from outside for a group that has members."""

T = TypeVar("T")


class KafkaClient(Diagnosis):
    """A client of the brokers at ``servers``, see ``Client``."""

    def __init__(self, servers: Sequence[str], security: Security, admin: Any, parts: AsyncExitStack) -> None:
        connections.install()
        fetched_records.install()
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
    async def connect(
        cls, broker: str, security: Security = PLAINTEXT, *, within_s: float = CONNECT_S
    ) -> AsyncIterator[Self]:
        """A client of ``kafka://host:port;host:port``; NoAnswer if none of them answers in time.

        NotAccepted, with the reason, if one answers and rejects the connection.
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
            await client._await_answer(admin.start(), within_s)
            yield client

    @property
    def principal(self) -> str:
        """This client's principal, see ``Security``."""
        return self._security.principal

    async def cluster_id(self) -> str:
        """The id the cluster was formatted with."""
        cluster_id = (await self._await_answer(self._admin.describe_cluster())).get("cluster_id")
        if not cluster_id:
            raise NotAccepted(f"{self.where} does not report its cluster id: it is older than Kafka 0.10.1")
        return str(cluster_id)

    async def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions, without Kafka's internal topics."""
        until = monotonic() + CONNECT_S
        while True:
            topics = await self._await_answer(self._admin.describe_topics())
            if monotonic() > until or not any(for_code(topic["error_code"]).retriable for topic in topics):
                break
            await asyncio.sleep(RETRY_S)  # a broker that has just started does not know all leaders yet
        return {
            topic["topic"]: len(topic["partitions"])
            for topic in topics
            if not topic["error_code"] and not topic["is_internal"]
        }

    async def replica_counts(self) -> ReplicaCounts:
        """The number of live brokers, and of each topic's replicas, in sync or not."""
        cluster = await self._await_answer(self._admin.describe_cluster())
        topics = await self._await_answer(self._admin.describe_topics())
        replica_counts = {
            topic["topic"]: min(len(partition["replicas"]) for partition in topic["partitions"])
            for topic in topics
            if not topic["error_code"] and topic["partitions"]
        }
        return ReplicaCounts(len(cluster["brokers"]), replica_counts)

    async def create(self, topic: Topic, partitions: int) -> TopicCreation:
        """Create a topic with its settings and wait until it is usable; an existing one is left as it is."""
        if (existing := (await self.topics()).get(topic.name)) is not None:
            return TopicCreation(topic.name, False, existing)
        until = monotonic() + READY_S
        while True:
            new_topic = NewTopic(topic.name, partitions, BROKER_DEFAULT, {}, dict(topic.config()))
            answer = await self._await_answer(self._admin.create_topics([new_topic]))
            _, code, *messages = answer.topic_errors[0]
            if code == 0:
                await self._wait_for_leaders(topic.name, monotonic() + CONNECT_S)
                return TopicCreation(topic.name, True, partitions)
            error = for_code(code)
            if error is TopicAlreadyExistsError:  # created concurrently by another process
                await self._wait_for_leaders(topic.name, monotonic() + CONNECT_S)
                return TopicCreation(topic.name, False, (await self.topics())[topic.name])
            if reason := denied(error(topic.name), self._security.principal, operation="Create"):
                raise NotAccepted(reason)
            if not (error.retriable or error in NOT_READY_ERRORS) or monotonic() > until:
                raise NotAccepted(
                    f"{self.where} did not create the topic {topic.name}: {error.__name__}, "
                    f"{messages[0] if messages else ''}. Create it with Kafka's own tools, or as a user with the right "
                    "to create topics."
                )
            await asyncio.sleep(RETRY_S)

    async def config(self, topic: str) -> Mapping[str, str]:
        """A topic's effective settings, with the broker's defaults."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        (answer,) = await self._await_answer(self._admin.describe_configs(resources))
        code, message, _, _, entries = answer.resources[0]
        if for_code(code) is UnknownTopicOrPartitionError:
            raise self._no_topic(topic)
        if reason := denied(for_code(code)(topic), self._security.principal, operation="DescribeConfigs"):
            raise NotAccepted(reason)
        if code:
            raise NotAccepted(
                f"{self.where} does not show the settings of {topic}: {for_code(code).__name__}, {message}"
            )
        return {entry[0]: entry[1] or "" for entry in entries}

    async def rights(self, topics: Collection[str], groups: Collection[str]) -> Rights:
        """The rights of this principal; brokers before 2.3 do not report them."""
        topic_rights = await self._await_answer(rights_of_topics(self._admin, topics))
        return {**topic_rights, **await self._await_group_answer(lambda: rights_of_groups(self._admin, groups))}

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> None:
        """Write rows to a partition, in order; transient errors are retried for ``PATIENCE_S``."""
        if not rows:
            return
        producer = await self._open_producer(topic, partition)
        until = monotonic() + PATIENCE_S
        for wire, batch in batches(producer, rows):
            await self._append(producer, topic, partition, batch, wire, until)

    async def ends(self, topic: str) -> Mapping[int, int]:
        """The offset of the next record of each partition."""
        reader = await self._open_reader()
        ends = await self._await_answer(reader.end_offsets(await self._partitions(topic)))
        return {tp.partition: end for tp, end in ends.items()}

    async def read(self, topic: str, partition: int, first: int = 0) -> AsyncIterator[Sequence[Record]]:
        """Read records from an offset to the current end, in order, in steps; only one read at a time."""
        if partition >= len(await self._partitions(topic)):
            raise self._no_topic(f"{topic}[{partition}]")
        reader, tp = await self._open_reader(), TopicPartition(topic, partition)
        end = (await self._await_answer(reader.end_offsets([tp])))[tp]
        low = (await self._await_answer(reader.beginning_offsets([tp])))[tp]
        reader.assign([tp])
        reader.seek(tp, max(first, low))
        until = monotonic() + PATIENCE_S
        while await self._await_answer(reader.position(tp)) < end:
            try:
                fetched = await self._await_answer(reader.getmany(tp, timeout_ms=500))
            except MissingCodec as error:
                raise NotAccepted(f"{topic}[{partition}] of {self.where}: {error}") from error
            if records := [record for record in fetched.get(tp, ()) if record.offset < end]:
                yield records
                until = monotonic() + PATIENCE_S
            elif monotonic() > until:
                raise NoAnswer(
                    f"{self.where} returned no records of {topic}[{partition}] for {PATIENCE_S:.0f} s: is it running?"
                )

    async def position(self, group: str, topic: str, partition: int) -> GroupPosition:
        """A group's position in a partition."""
        reader, tp = await self._open_reader(), TopicPartition(topic, partition)
        if partition >= len(await self._partitions(topic)):
            raise self._no_topic(f"{topic}[{partition}]")
        low = (await self._await_answer(reader.beginning_offsets([tp])))[tp]
        high = (await self._await_answer(reader.end_offsets([tp])))[tp]
        commits = await self._await_group_answer(
            lambda: self._admin.list_consumer_group_offsets(group, partitions=[tp])
        )
        offset = commits[tp].offset if tp in commits else -1
        return GroupPosition(offset if offset >= 0 else None, low, high)

    async def committed(self, group: str, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
        """The next offset of each topic and partition that a group has committed."""
        tps = [
            TopicPartition(topic, number)
            for topic, count in (await self.topics()).items()
            if topic in topics
            for number in range(count)
        ]
        if not tps:
            return {}
        commits = await self._await_group_answer(lambda: self._admin.list_consumer_group_offsets(group, partitions=tps))
        return {(tp.topic, tp.partition): commit.offset for tp, commit in commits.items() if commit.offset >= 0}

    async def group(self, group: str) -> GroupState:
        """Members and protocol of a group; an unknown group is empty."""

        async def request_state() -> GroupState:
            coordinator = await self._admin.find_coordinator(group)
            return await describe(lambda request: self._admin._send_request(request, coordinator), group)

        return await self._await_group_answer(request_state)

    async def require_empty(self, group: str) -> None:
        """NotAccepted while the group has members; waits for ended workers to leave it."""
        until = monotonic() + LEAVE_S
        while (state := await self.group(group)).members:
            if monotonic() > until:
                raise NotAccepted(f"{self.where}: group {group} has members: stop {', '.join(state.hosts)}")
            await asyncio.sleep(RETRY_S)

    async def move(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Set a group's committed offset; NotAccepted while the group has members."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            client_id=CLIENT_ID,
            group_id=group,
            enable_auto_commit=False,
            request_timeout_ms=int(CONNECT_S * 1000),
            **self._security.arguments(),
        )
        tp, until = TopicPartition(topic, partition), monotonic() + LEAVE_S
        try:
            await self._await_answer(consumer.start())
            consumer.assign([tp])
            while True:
                try:
                    await asyncio.wait_for(consumer.commit({tp: offset}), CONNECT_S)
                    return
                except HAS_MEMBERS_ERRORS:
                    if monotonic() > until:
                        raise
                    await asyncio.sleep(RETRY_S)
        except HAS_MEMBERS_ERRORS as error:
            raise NotAccepted(f"{self.where}: group {group} has members: stop the workers reading {topic}") from error
        except (KafkaError, TimeoutError) as error:
            raise NotAccepted(f"{self.where} did not move {group} in {topic}[{partition}]: {error!r}") from error
        finally:
            await consumer.stop()

    async def _append(  # noqa: PLR0917  # one batch, and where it goes
        self, producer: Any, topic: str, partition: int, rows: Sequence[Outgoing], wire: Any, until: float
    ) -> None:
        while True:
            try:
                await (await producer.send_batch(wire, topic, partition=partition))
                return
            except KafkaError as error:
                if reason := denied(error, self._security.principal, operation="Write"):
                    raise NotAccepted(reason) from error
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise NotAccepted(
                        f"{topic}[{partition}] of {self.where} rejected {len(rows)} records, the first with the key "
                        f"{rows[0].key!r}: {error}. Check the topic's settings and rights."
                    ) from error
                if monotonic() > until:
                    raise NoAnswer(
                        f"{self.where} did not acknowledge {len(rows)} records for {topic}[{partition}] "
                        f"within {PATIENCE_S:.0f} s ({error}): is it running, and are its replicas in sync?"
                    ) from error
                await asyncio.sleep(RETRY_S)
                wire = producer.create_batch()
                for row in rows:
                    add(wire, row)

    async def _wait_for_leaders(self, topic: str, until: float) -> None:
        """Wait until every partition of a new topic has a leader."""
        while monotonic() < until:
            (description,) = await self._await_answer(self._admin.describe_topics([topic]))
            if not description["error_code"] and not any(
                partition["error_code"] for partition in description["partitions"]
            ):
                return
            await asyncio.sleep(RETRY_S)
        raise NoAnswer(
            f"{self.where} has no leader for the new topic {topic} after {CONNECT_S:.0f} s: check the broker's log"
        )

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        count = (await self.topics()).get(topic)
        if count is None:
            raise self._no_topic(topic)
        return [TopicPartition(topic, number) for number in range(count)]

    async def _open_producer(self, topic: str, partition: int) -> Any:
        """The producer, started by the first append; NoTopic instead of a wait for a topic that does not exist."""
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
                await self._await_answer(producer.start())
                self._producer = producer
            if partition not in (self._producer.client.cluster.partitions_for_topic(topic) or ()):
                if partition >= (await self.topics()).get(topic, 0):
                    raise self._no_topic(f"{topic}[{partition}]")
                await self._await_answer(self._producer.partitions_for(topic))
        return self._producer

    async def _open_reader(self) -> Any:
        async with self._starting:
            if self._reader is None:
                self._reader = await self._start_reader("read_uncommitted")
        return self._reader

    async def _start_reader(self, isolation_level: str) -> Any:
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            client_id=CLIENT_ID,
            isolation_level=isolation_level,
            request_timeout_ms=int(CONNECT_S * 1000),
            **self._security.arguments(),
        )
        self._parts.push_async_callback(reader.stop)
        await self._await_answer(reader.start())
        return reader

    async def _await_group_answer(self, question: Callable[[], Awaitable[T]]) -> T:
        return await self._await_answer(once_ready(question, READY_S), READY_S + CONNECT_S)

    async def _await_answer(self, call: Awaitable[T], within_s: float = CONNECT_S) -> T:
        """Return the broker's answer; NoAnswer if there is none in time, NotAccepted if access is denied."""
        try:
            return await asyncio.wait_for(call, within_s)
        except (KafkaError, OSError, TimeoutError) as error:
            if reason := denied(error, self._security.principal, operation="Describe"):
                raise NotAccepted(reason) from error
            if not isinstance(error, TimeoutError) and (reason := await self._rejection_reason()):
                raise NotAccepted(reason) from error
            late = f" within {within_s:.0f} s" if isinstance(error, TimeoutError) else ""
            raise NoAnswer(
                f"no answer from {self.where}{late}: is it running, and is TRADERECON_BROKER right?"
            ) from error

    async def _rejection_reason(self) -> str | None:
        """Why one of the configured servers or known brokers rejects the connection; None if none does."""
        client = self._admin._client
        servers = [(host, port) for host, port, _ in client.hosts]
        brokers = [(broker.host, broker.port) for broker in client.cluster.brokers()]
        return await rejection_reason(dict.fromkeys(servers + brokers), self._security, CONNECT_S)

    def _no_topic(self, topic: str) -> NoTopic:
        return NoTopic(f"there is no {topic} in {self.where}: `traderecon topics create` creates missing topics")
