"""The Kafka transport: aiokafka joins groups, fetches and sends; this package batches, acknowledges and commits.

librdkafka fetches faster, but accepts no custom assignor, and Faust's is needed to co-locate changelogs.
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
"""aiokafka has one fetch in flight per broker: a partition that becomes empty meanwhile waits at most this long."""
COMMITTED_ONLY = "read_committed"
"""Records of aborted transactions are never read."""
READ_MAX_RECORDS = 10_000
"""Records per step of a range read."""
EARLIEST, LATEST = -2, -1
"""Special timestamps of an offset request: the first offset and the next offset."""
OFFSETS_S = 10.0
"""Time limit of an offset request to one broker."""


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
        """Call in the consumer's thread. Ends the process if a permission is missing: retrying would not help."""
        try:
            return await super().call_thread(*args, **kwargs)
        except MissingCodec as error:
            fail_stop(f"{self.app.conf.id}: {error}", code=Exit.CONFIG)
        except KafkaError as error:
            _stop_if_denied(self.app, error)
            raise

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        return dict(await self.call_thread(self._fetch, active, timeout))

    async def _fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        consumer = self._ensure_consumer()
        # Faust does not check this: a worker expelled from its group would continue unnoticed. Here it ends.
        consumer._coordinator.check_errors()
        begins = self._positions(active)
        fetched = await self._fetch_records(consumer, active, timeout, consumer._max_poll_records)
        # Round robin: otherwise one partition with a megabyte buffered is emptied before the others get a turn.
        buffered = consumer._fetcher._records
        for tp in fetched.keys() & buffered.keys():
            buffered.move_to_end(tp)
        return {
            TP(*tp): Fetch(begins[tp], fetched.get(tp, ()), end)
            for tp, end in self._positions(active).items()
            if tp in begins and end != begins[tp]
        }

    async def seek_in_thread(self, partition: TP, offset: int) -> None:
        """Seek in the consumer's thread: Faust seeks from another one, which breaks a fetch in flight."""
        await self.call_thread(self._ensure_consumer().seek, stock.ensure_aiokafka_TP(partition), offset)

    def _positions(self, active: set[TP]) -> dict[TopicPartition, int]:
        """The offset at which the next fetch of each partition begins."""
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or not assignment.active:
            return {}
        states = {
            tp: assignment.state_value(tp) for tp in map(stock.ensure_aiokafka_TP, active) if tp in assignment.tps
        }
        return {tp: state.position for tp, state in states.items() if state.has_valid_position}

    async def on_thread_stop(self) -> None:
        """Leave the group; continue even if the broker does not answer."""
        try:
            await super().on_thread_stop()
        except (asyncio.CancelledError, KafkaError) as error:
            self.log.warning("could not leave the group cleanly: %r", error)

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        commits = {stock.ensure_aiokafka_TP(tp): (offset, notes.get(tp, "")) for tp, offset in offsets.items()}
        await self.call_thread(self._ensure_consumer().commit, commits)

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        return dict(await self.call_thread(self._commit_notes, list(tps)))

    async def _commit_notes(self, tps: list[TP]) -> Mapping[TP, str]:
        return {tp: commit.metadata for tp, commit in (await self._commits(tps)).items() if commit.metadata}

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        return dict(await self.call_thread(self._log_ids, set(topics)))

    async def _log_ids(self, topics: set[str]) -> Mapping[str, LogId]:
        return await topic_ids(self._ensure_consumer()._client, topics)

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        return dict(await self.call_thread(self._committed, list(tps)))

    async def _committed(self, tps: list[TP]) -> Mapping[TP, int]:
        return {tp: commit.offset for tp, commit in (await self._commits(tps)).items() if commit.offset >= 0}

    async def _commits(self, tps: list[TP]) -> Mapping[TP, Any]:
        """aiokafka's ``OffsetAndMetadata`` of each partition, as the coordinator has it."""
        kafka_tps = {stock.ensure_aiokafka_TP(tp): tp for tp in tps}
        if not kafka_tps:
            return {}
        commits = await self._ensure_consumer()._coordinator.fetch_committed_offsets(list(kafka_tps))
        return {tp: commits[kafka_tp] for kafka_tp, tp in kafka_tps.items() if kafka_tp in commits}

    async def offsets(self, tps: Iterable[TP], timestamp: int, isolation: int) -> Mapping[TP, int]:
        return dict(await self.call_thread(self._offsets, set(tps), timestamp, isolation))

    async def _offsets(self, tps: set[TP], timestamp: int, isolation: int) -> Mapping[TP, int]:
        """Ask every leader; partitions whose leader does not answer are absent. Raises if none answers.

        aiokafka's own call succeeds or fails for all partitions together, and always uses the consumer's isolation
        level.
        """
        consumer = self._ensure_consumer()
        client = consumer._client
        await client._maybe_wait_metadata()
        unknown = {tp.topic for tp in tps if client.cluster.partitions_for_topic(tp.topic) is None}
        if unknown:  # not a topic of this group
            await asyncio.wait({client.add_topic(topic) for topic in unknown}, timeout=OFFSETS_S)
        by_leader: dict[int, list[TP]] = defaultdict(list)
        for tp in sorted(tps):
            leader = client.cluster.leader_for_partition(stock.ensure_aiokafka_TP(tp))
            by_leader[-1 if leader is None else leader].append(tp)
        leaderless = by_leader.pop(-1, [])
        fetcher = copy.copy(consumer._fetcher)
        fetcher._isolation_level = isolation
        answers = await asyncio.gather(
            *(_leader_offsets(fetcher, leader, led, timestamp) for leader, led in by_leader.items()),
            return_exceptions=True,
        )
        offsets: dict[TP, int] = {}
        failure: BaseException | None = LeaderNotAvailableError(*leaderless[0]) if leaderless else None
        for answer in answers:
            if isinstance(answer, BaseException):
                if not isinstance(answer, KafkaError):
                    raise answer
                failure = answer
            else:
                offsets |= answer
        if failure is not None:
            client.force_metadata_update()
            if not offsets or not cast(KafkaError, failure).retriable:
                raise failure
        return offsets

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        return dict(await self.call_thread(self._partition_counts, set(topics)))

    async def _partition_counts(self, topics: set[str]) -> Mapping[str, int]:
        cluster = await self._ensure_consumer()._client.fetch_all_metadata()
        return {topic: len(numbers) for topic in topics if (numbers := cluster.partitions_for_topic(topic))}


async def _leader_offsets(fetcher: Any, leader: int, tps: Sequence[TP], timestamp: int) -> dict[TP, int]:
    """Ask one broker for offsets of partitions it leads. Raises KafkaError."""
    topics: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for topic, partition in tps:
        topics[topic].append((partition, timestamp))
    try:
        async with asyncio.timeout(OFFSETS_S):
            offsets = await fetcher._proc_offset_request(leader, topics)
    except TimeoutError as error:
        raise KafkaTimeoutError(f"broker {leader} did not answer about offsets within {OFFSETS_S:.0f} s") from error
    return {TP(*tp): offset for tp, (offset, _) in offsets.items()}


class _Listener(stock.ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        thread = self._thread
        # Topics this principal may not even see are assigned to no worker: they would stall silently.
        hidden = thread._ensure_consumer()._client.cluster.unauthorized_topics
        if hidden:
            _stop_if_denied(thread.app, TopicAuthorizationFailedError(hidden))
        changelogs = thread.app.tables.changelog_topics
        # Recovery reads changelogs by range; fetching them here too would only fill memory.
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
            await self._thread.seek_in_thread(partition, offset)
        except IllegalStateError:
            self.log.info("%s[%s] has just been revoked", *partition)  # the next assignment seeks

    async def fetch(self, active: set[TP], timeout: float) -> Mapping[TP, Fetch]:
        """Fetch from the active partitions, for at most ``timeout`` seconds; partitions without progress are absent."""
        return await self._thread.fetch(active, timeout)

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """The group's committed offset of each partition that has one."""
        return await self._thread.committed(tps)

    async def commit_noted(self, offsets: Mapping[TP, int], notes: Mapping[TP, str]) -> None:
        """Commit offsets, each with its note as metadata."""
        try:
            await self._thread.commit_noted(offsets, notes)
        except OffsetMetadataTooLargeError:
            fail_stop(
                f"the broker does not store {NOTE_BYTES} bytes of metadata with a commit, and without them a truncated "
                "log is not detected. Set its offset.metadata.max.bytes to 4096, the default, or more.",
                code=Exit.CONFIG,
            )

    async def commit_notes(self, tps: Iterable[TP]) -> Mapping[TP, str]:
        """The notes of the group's commits."""
        return await self._thread.commit_notes(tps)

    async def log_ids(self, topics: Iterable[str]) -> Mapping[str, LogId]:
        """The id of each topic and its leader epochs, if the broker has them."""
        return await self._thread.log_ids(topics)

    async def partition_counts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """How many partitions each topic has; a topic that does not exist is absent."""
        return await self._thread.partition_counts(topics)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The first offset each partition still has."""
        return await self._thread.offsets(partitions, EARLIEST, READ_UNCOMMITTED)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The next offset of each partition; records of an open transaction may lie below it."""
        return await self._thread.offsets(partitions, LATEST, READ_UNCOMMITTED)

    async def readable_ends(self, *partitions: TP) -> Mapping[TP, int]:
        """The last stable offset of each partition: records from there on cannot be read yet."""
        return await self._thread.offsets(partitions, LATEST, READ_COMMITTED)


class KafkaProducer(BatchProducer, stock.Producer):
    """Appends batches to Kafka."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._log_times: dict[str, ClockReading] = {}

    @property
    def log_times(self) -> Mapping[str, ClockReading]:
        """The last timestamp each broker assigned to a batch of this producer (topics with LogAppendTime)."""
        return self._log_times

    async def append(self, topic: str, partition: int, rows: Sequence[Outgoing]) -> list[range]:
        """Write rows in order and wait until every in-sync replica has them; return their spans of offsets.

        Transient errors are retried until they pass; a record that the broker rejects raises ``ProducerSendError``.
        A retry may write a record twice: readers identify records by content, not by offset.
        """
        producer = self._ensure_producer()
        spans = []
        end = 0
        while end < len(rows):
            wire, first = producer.create_batch(), end
            end += fill(wire, rows[first:] if first else rows)
            if end == first:
                raise ProducerSendError(f"a record for {topic} is larger than a batch of {self.max_batch_size} bytes")
            spans.append(await self._append(producer, topic, partition, rows[first:end], wire))
        return spans

    async def _append(self, producer: Any, topic: str, partition: int, rows: Sequence[Outgoing], wire: Any) -> range:
        while True:
            asked_boot_ms = boot_ms()
            try:
                metadata = await (await producer.send_batch(wire, topic, partition=partition))
                if metadata.timestamp_type == LOG_APPEND_TIME:
                    leader = producer.client.cluster.leader_for_partition(TopicPartition(topic, partition))
                    reading = ClockReading(metadata.timestamp, asked_boot_ms, boot_ms())
                    self._log_times[f"broker {leader}"] = reading
                return range(metadata.offset, metadata.offset + len(rows))
            except KafkaError as error:
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise ProducerSendError(f"{topic}[{partition}] rejected {len(rows)} records: {error!r}") from error
                self.log.warning("%s[%s]: no acknowledgement yet, sending again: %r", topic, partition, error)
                wire = producer.create_batch()
                fill(wire, rows)


def _stop_if_denied(app: Any, error: KafkaError) -> None:
    """End the process, 70, if the broker denied access: retrying would only stall."""
    if reason := denied(error, app.security.principal):
        fail_stop(f"{app.conf.id}: {reason}. Unfinished records are not acknowledged.", error)


class Transport(stock.Transport):
    """``kafka://host:port``, or several hosts separated by ``;``."""

    Consumer = KafkaConsumer
    Fetcher = BatchFetcher
    Producer = KafkaProducer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections.install()
        fetched_records.install()
        group_membership.install()

    async def read(
        self, spans: Mapping[TP, range], *, refuse_unreadable: bool = True
    ) -> AsyncIterator[tuple[TP, Sequence[Record]]]:
        """Read every span, in order, in steps of (partition, records).

        Outside the group, on its own connection. Offsets without a record are skipped. An unreadable batch ends the
        process; with ``refuse_unreadable=False`` it is given as an ``UnreadableBatch``.
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
                    within = records
                    if records[-1].offset >= open_spans[tp].stop:
                        within = [record for record in records if record.offset < open_spans[tp].stop]
                    if refuse_unreadable:
                        require_readable(tp.topic, tp.partition, within)
                    if within:
                        yield TP(tp.topic, tp.partition), within
                for tp in list(open_spans):
                    if await reader.position(tp) >= open_spans[tp].stop:
                        del open_spans[tp]
        except MissingCodec as error:
            fail_stop(f"{self.app.conf.id}: {error}", code=Exit.CONFIG)
        except KafkaError as error:
            _stop_if_denied(self.app, error)
            raise
        finally:
            await reader.stop()
