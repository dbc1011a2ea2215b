"""A header's name is bytes to Kafka: one that is no text is read like any other, in any kind of batch."""

import asyncio
import json
import struct
from typing import Any

import aiokafka
import pytest
from aiokafka.record._crc32c import crc as crc32c
from broker.kafka_server import Kafka
from pipeline_case import Installation

PLACEHOLDER = "abcdefgh"
LEG = {"ticker": "AAPL", "quantity": "100", "price": "190.5", "timestamp": "2025-07-26T10:01:23Z"}
CRC_AT, COVERED_FROM = 17, 21
"""Of a batch: its checksum, and what that covers. Source: Kafka's protocol, Record Batch."""


class Misnamed:
    """A batch whose header's name no longer is text when it is sent; aiokafka's own would refuse to write it."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def build(self) -> bytearray:
        content = bytearray(self._builder.build())
        content[content.index(PLACEHOLDER.encode())] = 0xFF
        struct.pack_into(">I", content, CRC_AT, crc32c(bytes(content[COVERED_FROM:])))
        return content


async def send(address: str, topic: str, trades: list[str]) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    batch = producer.create_batch()
    for trade in trades:
        value = json.dumps({"trade_id": trade, **LEG}).encode()
        batch.append(key=trade.encode(), value=value, timestamp=1, headers=[(PLACEHOLDER, b"x")])
    batch._builder = Misnamed(batch._builder)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=0))
    await producer.stop()


@pytest.mark.matrix("D4")
@pytest.mark.installation(inputs=(1, 1, 1))
def test_a_header_whose_name_is_no_text_stops_nothing(kafka: Kafka, installation: Installation) -> None:
    for topic in (installation.topics.executions, installation.topics.broker_confirmations):
        asyncio.run(send(kafka.address, topic, ["T1", "T2"]))
    worker = installation.start_ready()
    installation.until_decided()
    assert installation.rows("SELECT trade_id, state FROM results ORDER BY 1") == [("T1", "MATCHED"), ("T2", "MATCHED")]
    assert worker.leave() == 0
