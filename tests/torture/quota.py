"""Quota: is a client held back by the broker?

    address, client id, topic -> milliseconds

The broker counts bytes per client id, over all connections, and tells a producer in its answer how long it is held
back. So one small record more, sent under a client's id, asks on its behalf.
"""

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from broker.kafka_topics import batch_of

NODE = 1
ANSWER_MS = 30_000


async def throttle_ms(address: str, client_id: str, topic: str) -> int:
    """How long the broker holds back who produces under ``client_id``; appends an empty record to ``topic``."""
    client = AIOKafkaClient(bootstrap_servers=address, client_id=client_id)
    await client.bootstrap()
    try:
        answer = await client.send(NODE, ProduceRequest(None, 1, ANSWER_MS, [(topic, [(0, batch_of([b""]))])]))
    finally:
        await client.close()
    return int(answer.throttle_time_ms)
