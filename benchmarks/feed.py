"""What the transport is measured on: records like a feed's, and the two logs that hold them.

    rows(count)  ->  KafkaLog | EmbeddedLog: create_topic, append  ->  a worker at ``url``  ->  end

Both are asked in the same words, so that a benchmark does not know which one it fills.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from broker.kafka_server import Kafka

from traderecon import clock
from traderecon.transport.log import Log, Writer

PARTITIONS = 4
LEGS = 4
"""Records of one trade."""
SPREAD = 2_000
"""Trades under way at once: a trade's legs come this many records apart."""

Row = tuple[bytes, bytes]
"""Key and value."""


def rows(count: int) -> list[list[Row]]:
    """Keys and executions like a feed's, by partition."""
    partitions: list[list[Row]] = [[] for _ in range(PARTITIONS)]
    for number in range(count):
        trade_id = f"T{number // (LEGS * SPREAD) * SPREAD + number % SPREAD:09d}"
        fields = {
            "trade_id": trade_id,
            "ticker": "AAPL",
            "quantity": number % 900 + 100,
            "price": f"{150 + number % 50}.25",
            "timestamp": f"2026-01-05T14:{number % 60:02d}:07.250Z",
            "order_id": f"O{number}",
        }
        key = trade_id.encode()
        partitions[crc32(key) % PARTITIONS].append((key, json.dumps(fields).encode()))
    return partitions


class KafkaLog(Kafka):
    """A Kafka of one node, started and ended by us."""

    name = "a Kafka of one node"

    @property
    def url(self) -> str:
        """What a worker is given."""
        return f"kafka://{self.address}"


class EmbeddedLog:
    """The embedded log in a directory, filled and read from outside its worker."""

    name = "embedded log, one process"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.url = f"embedded://{directory}"
        self._path = directory / "log.db"

    def start(self) -> None:
        """Make the file."""
        self._log = Log.open(self._path)
        self._writer = Writer(self._log)

    def stop(self) -> None:
        """Close it."""
        self._writer.close()
        self._log.close()

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic."""
        self._log.create(name, partitions)

    def append(self, topic: str, pairs: Sequence[Row], partition: int) -> None:
        """Append keys and values, however long the worker keeps the log to itself."""
        now_ms = clock.now_ms()
        self._writer.append(topic, partition, [(key, value, now_ms, ()) for key, value in pairs]).result()

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record will get."""
        return self._log.end(topic, partition)
