"""The Kafka log: aiokafka for group membership, fetching and sending; ours for batches, acknowledgement, commit.

librdkafka is faster at fetching, but takes no assignor of ours, and Faust's places changelogs with their partitions.
"""

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, cast

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    OffsetMetadataTooLargeError,
    TopicAuthorizationFailedError,
)
from faust.exceptions import ProducerSendError
from faust.transport.drivers import aiokafka as stock
from faust.types import TP

from traderecon.clock import boot_ms
from traderecon.exit_codes import Exit
from traderecon.transport import connections, fetched_records, group_membership
from traderecon.transport.codecs import MissingCodec
from traderecon.transport.consumer import BatchConsumer
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.fetcher import BatchFetcher
from traderecon.transport.fingerprint import NOTE_BYTES, LogId
from traderecon.transport.microbatch import LOG_APPEND_TIME, Outgoing, Record
from traderecon.transport.producer import BatchProducer, ClockReading
from traderecon.transport.progress import Fetch
from traderecon.transport.security import denied
from traderecon.transport.topic_ids import topic_ids
from traderecon.transport.unreadable import require_readable
from traderecon.transport.wire_batch import fill

FETCH_MAX_WAIT_MS = 50
"""aiokafka has one fetch under way per broker: a partition emptied meanwhile waits this long at most for its turn."""
COMMITTED_ONLY = "read_committed"
"""A record of a transaction that was aborted never happened."""
READ_MAX_RECORDS = 10_000
"""Records of one step of a range read."""
EARLIEST, LATEST = -2, -1
"""What a broker is asked for instead of a time: the first offset it has, and the next one it will give."""
OFFSETS_S = 10.0
"""A broker that has not answered about offsets within this counts as one that does not answer."""


class _Thread(stock.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: stock.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._isolation_level = COMMITTED_ONLY
        app: Any = self.app
        if app.agreement is not None and self._assignor is not app.assignor:
            consumer._partition_assignment_strategy = [group_membership.round_robin(app)]
        return consumer

    async def call_thread(self, *args: Any, **kwargs: Any) -> Any:
        """Ask in the consumer's thread. A right that we have no more ends the process: it does not come back."""
        try:
            return await super().call_thread(*args, **kwargs)
        except MissingCodec as error:
            fail_stop(f"{self.app.conf.id}: {error}", code=Exit.CONFIG)
        except KafkaError as error:
            _stop_where_denied(self.app, error)
            raise

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        return dict(await self.call_thread(self._fetch, active, timeout))

    async def _fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        consumer = self._ensure_consumer()
        # Faust fetches without this question: a worker that its group gave up would go on unheard (it ends instead).
        consumer._coordinator.check_errors()
        begun = self._positions(active)
        fetched = await self._fetch_records(consumer, active, timeout, consumer._max_poll_records)
        # Partitions take turns: else one with a megabyte fetched is emptied before the others get any.
        buffered = consumer._fetcher._records
        for tp in fetched.keys() & buffered.keys():
            buffered.move_to_end(tp)
        return {
            TP(*tp): Fetch(begun[tp], fetched.get(tp, ()), ended)
            for tp, ended in self._positions(active).items()
            if tp in begun and ended != begun[tp]
        }

    async def seek_here(self, partition: TP, offset: int) -> None:
        """Seek in the consumer's thread: Faust seeks from another one, and a fetch under way breaks off."""
        await self.call_thread(self._ensure_consumer().seek, stock.ensure_aiokafka_TP(partition), offset)

    def _positions(self, active: set[TP]) -> dict[TopicPartition, int]:
        """Where the next fetch of each partition begins."""
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or not assignment.active:
            return {}
        states = {
            tp: assignment.state_value(tp) for tp in map(stock.ensure_aiokafka_TP, active) if tp in assignment.tps
        }
        return {tp: state.position for tp, state in states.items() if state.has_valid_position}

    async def on_thread_stop(self) -> None:
        """Leave the group; a broker that does not answer is left all the same."""
        try:
            await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError) as error:
            self.log.warning("the group was not left in order: %r", error)

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        noted = {stock.ensure_aiokafka_TP(tp): (at, notes.get(tp, "")) for tp, at in offsets.items()}
        await self.call_thread(self._ensure_consumer().commit, noted)

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        return dict(await self.call_thread(self._commit_notes, list(tps)))

    async def _commit_notes(self, tps: list[TP]) -> Mapping[TP, str]:
        asked = [stock.ensure_aiokafka_TP(tp) for tp in tps]
        found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(asked) if asked else {}
        return {tp: found[at].metadata for tp, at in zip(tps, asked, strict=True) if at in found and found[at].metadata}

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        return dict(await self.call_thread(self._log_ids, set(topics)))

    async def _log_ids(self, topics: set[str]) -> Mapping[str, LogId]:
        return await topic_ids(self._ensure_consumer()._client, topics)

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        return dict(await self.call_thread(self._committed, list(tps)))

    async def _committed(self, tps: list[TP]) -> Mapping[TP, int]:
        asked = [stock.ensure_aiokafka_TP(tp) for tp in tps]
        found = await self._ensure_consumer()._coordinator.fetch_committed_offsets(asked) if asked else {}
        return {
            tp: found[at].offset for tp, at in zip(tps, asked, strict=True) if at in found and found[at].offset >= 0
        }

    async def offsets(self, tps: Iterable[TP], which: int, isolation: int) -> Mapping[TP, int]:
        return dict(await self.call_thread(self._offsets, set(tps), which, isolation))

    async def _offsets(self, tps: set[TP], which: int, isolation: int) -> Mapping[TP, int]:
        """Ask every leader; a partition whose leader does not answer is absent. Raises where none answers.

        aiokafka's own call waits for all of them or fails for all of them, and reads the ends as a consumer of
        committed records sees them.
        """
        consumer = self._ensure_consumer()
        client = consumer._client
        await client._maybe_wait_metadata()
        unknown = {tp.topic for tp in tps if client.cluster.partitions_for_topic(tp.topic) is None}
        if unknown:  # nobody of this group reads it
            await asyncio.wait({client.add_topic(topic) for topic in unknown}, timeout=OFFSETS_S)
        by_leader: dict[int, list[TP]] = defaultdict(list)
        for tp in sorted(tps):
            leader = client.cluster.leader_for_partition(stock.ensure_aiokafka_TP(tp))
            by_leader[-1 if leader is None else leader].append(tp)
        without = by_leader.pop(-1, [])
        fetcher = copy.copy(consumer._fetcher)
        fetcher._isolation_level = isolation
        answers = await asyncio.gather(
            *(_leader_offsets(fetcher, leader, asked, which) for leader, asked in by_leader.items()),
            return_exceptions=True,
        )
        found: dict[TP, int] = {}
        failed: BaseException | None = LeaderNotAvailableError(*without[0]) if without else None
        for answer in answers:
            if isinstance(answer, BaseException):
                if not isinstance(answer, KafkaError):
                    raise answer
                failed = answer
            else:
                found |= answer
        if failed is not None:
            client.force_metadata_update()
            if not found or not cast(KafkaError, failed).retriable:
                raise failed
        return found

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        return dict(await self.call_thread(self._partition_counts, set(topics)))

    async def _partition_counts(self, topics: set[str]) -> Mapping[str, int]:
        cluster = await self._ensure_consumer()._client.fetch_all_metadata()
        return {topic: len(found) for topic in topics if (found := cluster.partitions_for_topic(topic))}


async def _leader_offsets(fetcher: Any, leader: int, tps: Sequence[TP], which: int) -> dict[TP, int]:
    """What one broker says of the partitions it leads. Raises KafkaError."""
    topics: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for topic, partition in tps:
        topics[topic].append((partition, which))
    try:
        async with asyncio.timeout(OFFSETS_S):
            found = await fetcher._proc_offset_request(leader, topics)
    except TimeoutError as error:
        raise KafkaTimeoutError(f"broker {leader} has not answered about offsets within {OFFSETS_S:.0f} s") from error
    return {TP(*tp): offset for tp, (offset, _) in found.items()}


class _Listener(stock.ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        thread = self._thread
        # What cannot even be seen any more is not assigned to anybody, and would stand still without a word.
        hidden = thread._ensure_consumer()._client.cluster.unauthorized_topics
        if hidden:
            _stop_where_denied(thread.app, TopicAuthorizationFailedError(hidden))
        changelogs = thread.app.tables.changelog_topics
        # Recovery reads them by range; fetching them here too would only fill memory.
        thread._ensure_consumer().pause(*(tp for tp in assigned if tp.topic in changelogs))
        await super().on_partitions_assigned(assigned)


class KafkaConsumer(BatchConsumer, stock.Consumer):
    """Micro-batches from Kafka."""

    RebalanceListener = _Listener
    transient_errors = (KafkaError,)
    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _seek(self, partition: TP, offset: int) -> None:
        try:
            await self._thread.seek_here(partition, offset)
        except IllegalStateError:
            self.log.info("%s[%s] has just been taken away", *partition)  # the next assignment seeks

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        """What was read of each partition that moved, within ``timeout`` seconds."""
        return await self._thread.fetch(active, timeout)

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The group's next offset of each partition that has a commit."""
        return await self._thread.committed(tps)

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Commit offsets, each with its note for metadata."""
        try:
            await self._thread.commit_noted(offsets, notes)
        except OffsetMetadataTooLargeError:
            fail_stop(
                f"the broker keeps no {NOTE_BYTES} bytes with a commit, and without them nobody knows a log that was "
                "cut. Set its offset.metadata.max.bytes to 4096, as it is by default, or more.",
                code=Exit.CONFIG,
            )

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        """What was noted with the group's commits."""
        return await self._thread.commit_notes(tps)

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        """The id of each topic and the epochs of its leaders, where the broker gives them."""
        return await self._thread.log_ids(topics)

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; a topic that does not exist is absent."""
        return await self._thread.partition_counts(topics)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The first offset of each partition that is still there."""
        return await self._thread.offsets(partitions, EARLIEST, READ_UNCOMMITTED)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The next offset each partition will give; below it may be records of a transaction that is still open."""
        return await self._thread.offsets(partitions, LATEST, READ_UNCOMMITTED)

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """The last stable offset of each partition: nothing at or above it can be read yet."""
        return await self._thread.offsets(partitions, LATEST, READ_COMMITTED)


class KafkaProducer(BatchProducer, stock.Producer):
    """Batches to Kafka."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._log_times: dict[str, ClockReading] = {}

    @property
    def log_times(self) -> Mapping[str, ClockReading]:
        """The last time each broker gave to a batch of ours, in a topic whose time is the broker's."""
        return self._log_times

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows in order, and wait until every replica in sync has them; gives the offsets they got.

        What is transient is tried again until it passes; a record the broker refuses raises ``ProducerSendError``.
        A retry may write a record twice: readers know records by their content, not by their offset.
        """
        producer = self._ensure_producer()
        spans = []
        at = 0
        while at < len(rows):
            wire, first = producer.create_batch(), at
            at += fill(wire, rows[first:] if first else rows)
            if at == first:
                raise ProducerSendError(f"a record for {topic} is larger than a batch of {self.max_batch_size} bytes")
            spans.append(await self._append(producer, topic, partition, rows[first:at], wire))
        return spans

    async def _append(self, producer: Any, topic: str, partition: int, rows: Sequence[Outgoing], wire: Any) -> range:
        while True:
            asked_boot_ms = boot_ms()
            try:
                written = await (await producer.send_batch(wire, topic, partition=partition))
                if written.timestamp_type == LOG_APPEND_TIME:
                    leader = producer.client.cluster.leader_for_partition(TopicPartition(topic, partition))
                    reading = ClockReading(written.timestamp, asked_boot_ms, boot_ms())
                    self._log_times[f"broker {leader}"] = reading
                return range(written.offset, written.offset + len(rows))
            except KafkaError as error:
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise ProducerSendError(f"{topic}[{partition}] refused {len(rows)} records: {error!r}") from error
                self.log.warning("%s[%s]: no acknowledgement yet, sending again: %r", topic, partition, error)
                wire = producer.create_batch()
                fill(wire, rows)


def _stop_where_denied(app: Any, error: KafkaError) -> None:
    """End the process, 70, where a broker said that we may not: to ask again would be to stand still."""
    if said := denied(error, app.security.principal):
        fail_stop(f"{app.conf.id}: {said}. Nothing that is not done is acknowledged.", error)


class Transport(stock.Transport):
    """``kafka://host:port``, several hosts with ``;`` between them."""

    Consumer = KafkaConsumer
    Fetcher = BatchFetcher
    Producer = KafkaProducer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections.take_over()
        fetched_records.take_over()
        group_membership.take_over()

    async def read(
        self, spans: Mapping[TP, range], *, refuse_unreadable: bool = True
    ) -> AsyncIterator[tuple[TP, Sequence[Record]]]:
        """The records of each span, in order, in steps: (partition, records); ends when every span is read.

        Outside the group, on a connection of its own. Offsets of a span that hold no record are passed over. A batch
        that cannot be read ends the process, unless the caller takes ``UnreadableBatch`` for a record.
        """
        open_spans = {stock.ensure_aiokafka_TP(tp): span for tp, span in spans.items() if span}
        if not open_spans:
            return
        conf = self.app.conf
        reader = aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            bootstrap_servers=stock.server_list(self.url, self.default_port),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=COMMITTED_ONLY,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            **cast(Any, self.app).security.arguments(),
        )
        reader.assign(list(open_spans))
        try:
            await reader.start()
            for tp, span in open_spans.items():
                reader.seek(tp, span.start)
            while open_spans:
                fetched = await reader.getmany(*open_spans, timeout_ms=500, max_records=READ_MAX_RECORDS)
                for tp, records in fetched.items():
                    wanted = records
                    if records[-1].offset >= open_spans[tp].stop:
                        wanted = [record for record in records if record.offset < open_spans[tp].stop]
                    if refuse_unreadable:
                        require_readable(tp.topic, tp.partition, wanted)
                    if wanted:
                        yield TP(tp.topic, tp.partition), wanted
                for tp in list(open_spans):
                    if await reader.position(tp) >= open_spans[tp].stop:
                        del open_spans[tp]
        except MissingCodec as error:
            fail_stop(f"{self.app.conf.id}: {error}", code=Exit.CONFIG)
        except KafkaError as error:
            _stop_where_denied(self.app, error)
            raise
        finally:
            await reader.stop()
