"""Quota: is a client held back by the broker?

    address, client id, topic -> milliseconds

The broker counts bytes per client id, over all connections, and tells a producer in its answer how long it is held
back. So one small record more, sent under a client's id, asks on its behalf.
"""

import time

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

NODE = 1
ANSWER_MS = 30_000


async def throttle_ms(address: str, client_id: str, topic: str) -> int:
    """How long the broker holds back who produces under ``client_id``; appends an empty record to ``topic``."""
    batch = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1024,
    )
    batch.append(0, time.time_ns() // 1_000_000, None, b"", [])
    client = AIOKafkaClient(bootstrap_servers=address, client_id=client_id)
    await client.bootstrap()
    try:
        answer = await client.send(NODE, ProduceRequest(None, 1, ANSWER_MS, [(topic, [(0, bytes(batch.build()))])]))
    finally:
        await client.close()
    return int(answer.throttle_time_ms)
