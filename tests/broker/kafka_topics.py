"""Topics, records, offsets and quotas of a Kafka, seen and set from outside every client under test.

    Topics(address): create_topic, append, records, committed, ...       one question each

The node at the address leads and coordinates everything; kafka_cluster.py asks the node that does. Nothing here retries
but ``create_topic``, which waits until the topic can be used.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.protocol.admin import CreateTopicsRequest_v3, DeleteRecordsRequest_v0, DeleteTopicsRequest_v1
from aiokafka.protocol.commit import OffsetFetchRequest_v1, OffsetFetchRequest_v3
from aiokafka.protocol.fetch import FetchRequest_v10
from aiokafka.protocol.metadata import MetadataRequest_v1
from aiokafka.protocol.offset import OffsetRequest_v1, OffsetRequest_v2
from aiokafka.protocol.produce import ProduceRequest_v3
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from broker.kafka_wire import AlterClientQuotas, BrokerError, IncrementalAlterConfigs, accepted, ask
from broker.waiting import until

A_TOPIC, A_BROKER = 2, 4
SET, DELETE = 0, 1
EARLIEST, LATEST = -2, -1
READ_COMMITTED = 1
LOG_APPEND_TIME = 1
COMMIT = b"\x00\x01"
"""Of the key of a transaction's marker, behind its version: it commits. Source: Kafka's protocol, Control Batches."""
ANSWER_MS = 30_000
FETCH_BYTES = 16 * 1024 * 1024
LARGEST_BYTES = 1024 * 1024 * 1024
"""Of a batch, before it is compressed."""


class Record(NamedTuple):
    """One record as the broker holds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


Value = bytes | None | tuple[bytes | None, bytes | None]
"""A value, or a key and a value."""


FENCED = 38
"""INVALID_REPLICATION_FACTOR: with one node, that the controller thinks it is gone."""


class Topics:
    """What can be asked of, and told to, the node at ``address`` (host:port)."""

    replication = 1
    """How many copies a topic gets that is made here."""
    directory: Path
    """Where its nodes keep everything, where we have started them."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, request: Any) -> Any:
        """The answer to what any node can be asked. Raises OSError."""
        return ask(self.address, request)

    def ask_leader(self, topic: str, partition: int, request: Any) -> Any:
        """The answer to what only the leader of a partition can be asked. Raises OSError, or Refused without one."""
        return ask(self.address, request)

    def ask_coordinator(self, group: str, request: Any) -> Any:
        """The answer to what only the coordinator of a group can be asked. Raises OSError, or Refused without one."""
        return ask(self.address, request)

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make a topic and wait until it can be used. Raises Refused, also where it exists."""
        settings = [(key, value) for key, value in (config or {}).items()]
        request = CreateTopicsRequest_v3([(name, partitions, self.replication, [], settings)], ANSWER_MS, False)

        def answered() -> tuple[str, int, str | None] | None:
            (answer,) = self.ask(request).topic_errors
            return None if answer[1] == FENCED else answer

        answer = until(answered, f"topic {name} has a place: a node just resumed is no broker for a moment")
        assert answer
        accepted(answer[1], f"create topic {name}", answer[2])
        until(lambda: all(self._led(name, number) for number in range(partitions)), f"topic {name} can be used")

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records. Raises Refused."""
        ((_, code),) = self.ask(DeleteTopicsRequest_v1([name], ANSWER_MS)).topic_error_codes
        accepted(code, f"delete topic {name}")

    def topics(self) -> set[str]:
        """The names of all topics, internal ones included."""
        return {name for code, name, _, _ in self.ask(MetadataRequest_v1(None)).topics if not code}

    def partitions(self, name: str) -> int:
        """How many partitions of a topic have a leader; 0 where there is no such topic."""
        ((_, _, _, partitions),) = self.ask(MetadataRequest_v1([name])).topics
        return sum(code == 0 and leader >= 0 for code, _, leader, _, _ in partitions)

    def alter_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's settings, leaving the others; in force a moment later. Raises Refused."""
        changes = [(key, SET, value) for key, value in config.items()]
        answer = self.ask(IncrementalAlterConfigs([(A_TOPIC, name, changes)], False))
        for code, message, _, _ in answer.responses:
            accepted(code, f"alter topic {name}", message)

    def alter_broker(self, config: Mapping[str, str]) -> None:
        """Set some of the node's own settings while it runs; an empty value is the default again. Raises Refused."""
        changes = [(key, SET if value else DELETE, value or None) for key, value in config.items()]
        answer = self.ask(IncrementalAlterConfigs([(A_BROKER, "1", changes)], False))
        for code, message, _, _ in answer.responses:
            accepted(code, "alter broker", message)

    def codecs(self, topic: str) -> set[int]:
        """How the batches of a topic are compressed, as their attributes say."""
        found: set[int] = set()
        for partition in range(self.partitions(topic)):
            position, end = self.earliest(topic, partition), self.end(topic, partition)
            while position < end:
                batches = MemoryRecords(self._fetched(topic, partition, position))
                while (batch := batches.next_batch()) is not None:
                    found.add(batch.compression_type)
                    position = batch.next_offset
        return found

    def throttle(self, client_id: str | None, bytes_per_second: float | None) -> None:
        """Slow down what a client id (None: every client) produces; None lifts the quota. Raises Refused.

        In force a moment later. The broker takes a request and then takes no other for a while: what is slowed down
        is a client that keeps its connection, and sends more than one request.
        """
        change = ("producer_byte_rate", bytes_per_second or 0.0, bytes_per_second is None)
        answer = self.ask(AlterClientQuotas([([("client-id", client_id)], [change])], False))
        for code, message, _ in answer.entries:
            accepted(code, f"throttle {client_id or 'every client'}", message)

    def append(self, topic: str, values: Iterable[Value], partition: int = 0, *, codec: int = 0) -> int:
        """Append values, or pairs of key and value, as one batch; the first one's offset. Raises Refused.

        ``codec`` as a batch's attributes say it, but zstd, which needs a newer request.
        """
        request = ProduceRequest_v3(None, -1, ANSWER_MS, [(topic, [(partition, batch_of(values, codec))])])
        ((_, ((_, code, first, *_),)),) = self.ask_leader(topic, partition, request).topics
        accepted(code, f"append to {topic} {partition}")
        return int(first)

    def records(self, topic: str) -> list[Record]:
        """Everything in a topic up to now, by partition, then offset, but what no transaction has committed.

        Raises Refused where a partition has no leader.
        """
        found: list[Record] = []
        ((_, _, _, partitions),) = self.ask(MetadataRequest_v1([topic])).topics
        for code, partition, *_ in sorted(partitions, key=lambda row: row[1]):
            accepted(code, f"leader of {topic} {partition}")
            found += committed_of(self._batches(topic, partition))
        return found

    def codec(self, topic: str, partition: int, offset: int) -> int:
        """How the batch at this offset is compressed, as its attributes say."""
        batch = MemoryRecords(self._fetched(topic, partition, offset)).next_batch()
        assert batch is not None
        return int(batch.compression_type)

    def appended_ms(self, topic: str) -> dict[tuple[int, int], int]:
        """When the broker took each record, by partition and offset; of what has its producer's time, nothing."""
        return {
            record[:2]: batch.max_timestamp
            for partition in range(self.partitions(topic))
            for batch, records in self._batches(topic, partition)
            if batch.timestamp_type == LOG_APPEND_TIME
            for record in records
        }

    def stamped_ms(self, topic: str, partition: int, offset: int) -> int:
        """The latest time in the batch at this offset, whoever's it is."""
        batch = MemoryRecords(self._fetched(topic, partition, offset)).next_batch()
        assert batch is not None
        return int(batch.max_timestamp)

    def stable_end(self, topic: str, partition: int = 0) -> int:
        """The last stable offset: where the first open transaction begins, or ``end``."""
        request = OffsetRequest_v2(-1, READ_COMMITTED, [(topic, [(partition, LATEST)])])
        ((_, ((_, code, _, offset),)),) = self.ask_leader(topic, partition, request).topics
        accepted(code, f"stable offset in {topic} {partition}")
        return int(offset)

    def earliest(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest record kept."""
        return self._offset(topic, partition, EARLIEST)

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the next record will get."""
        return self._offset(topic, partition, LATEST)

    def coordinates(self, group: str) -> bool:
        """Whether a group's offsets can be asked for: soon after a start they are still being loaded."""
        return not self.ask_coordinator(group, OffsetFetchRequest_v3(group, [])).error_code

    def committed(self, group: str, topic: str, partition: int = 0) -> int | None:
        """The next offset a group would read; None where it has committed none. Raises Refused."""
        request = OffsetFetchRequest_v1(group, [(topic, [partition])])
        ((_, ((_, offset, _, code),)),) = self.ask_coordinator(group, request).topics
        accepted(code, f"offset of {group} in {topic} {partition}")
        return int(offset) if offset >= 0 else None

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Delete what is below an offset, as retention would. Raises Refused."""
        request = DeleteRecordsRequest_v0([(topic, [(partition, before)])], ANSWER_MS)
        ((_, ((_, _, code),)),) = self.ask_leader(topic, partition, request).topics
        accepted(code, f"delete records of {topic} {partition}")

    def _led(self, topic: str, partition: int) -> bool:
        # The metadata name a leader before it knows that it is one.
        try:
            return self.end(topic, partition) >= 0
        except BrokerError:
            return False

    def _offset(self, topic: str, partition: int, timestamp: int) -> int:
        request = OffsetRequest_v1(-1, [(topic, [(partition, timestamp)])])
        ((_, ((_, code, _, offset),)),) = self.ask_leader(topic, partition, request).topics
        accepted(code, f"offset in {topic} {partition}")
        return int(offset)

    def _fetched(self, topic: str, partition: int, offset: int) -> bytes:
        asked = [(topic, [(partition, -1, offset, -1, FETCH_BYTES)])]
        request = FetchRequest_v10(-1, 100, 1, FETCH_BYTES, 0, 0, -1, asked, [])  # older ones get no zstd
        ((_, ((_, code, _, _, _, _, batches),)),) = self.ask_leader(topic, partition, request).topics
        accepted(code, f"read {topic} {partition}")
        return bytes(batches)

    def _batches(self, topic: str, partition: int) -> Iterator[tuple[Any, list[Record]]]:
        """Every batch up to now, with its records; one that the log begins within has the rest of them."""
        position, end = self.earliest(topic, partition), self.end(topic, partition)
        while position < end:
            batches = MemoryRecords(self._fetched(topic, partition, position))
            while (batch := batches.next_batch()) is not None:
                records = [Record(partition, one.offset, one.key, one.value) for one in batch]
                yield batch, [record for record in records if record.offset >= position]
                position = max(position, batch.next_offset)


def committed_of(batches: Iterable[tuple[Any, list[Record]]]) -> list[Record]:
    """The records that a reader of committed transactions gets, by offset; markers are no records."""
    found: list[Record] = []
    open_: dict[int, list[Record]] = {}
    for batch, records in batches:
        if batch.is_control_batch:
            done = open_.pop(batch.producer_id, [])
            found += done if all((record.key or b"")[2:4] == COMMIT for record in records) else []
        elif batch.is_transactional:
            open_.setdefault(batch.producer_id, []).extend(records)
        else:
            found += records
    return sorted(found, key=lambda record: record.offset)


def batch_of(values: Iterable[Value], codec: int = 0) -> bytes:
    """Values as one batch of the wire, stamped with the present; ``codec`` as its attributes say it."""
    batch = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=LARGEST_BYTES,
    )
    now_ms = time.time_ns() // 1_000_000
    for offset, given in enumerate(values):
        key, value = given if isinstance(given, tuple) else (None, given)
        batch.append(offset, now_ms, key, value, [])
    return bytes(batch.build())
