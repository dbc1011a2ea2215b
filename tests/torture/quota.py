"""Quota: is a client held back by the broker?

    address, client id, topic -> milliseconds

Each broker counts bytes per client id, over all connections, and tells a producer in its answer how long it is held
back. So one small record more, sent under a client's id, asks on its behalf.
"""

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition
from broker.kafka_topics import batch_of

ANSWER_MS = 30_000


async def throttle_ms(address: str, client_id: str, topic: str) -> int:
    """The longest that a broker holds back who produces under ``client_id``; appends empty records to ``topic``.

    One record to each partition: brokers that lead none are not asked.
    """
    client = AIOKafkaClient(bootstrap_servers=address, client_id=client_id)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        held_back = [0]
        for partition in sorted(client.cluster.partitions_for_topic(topic) or ()):
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            request = ProduceRequest(None, 1, ANSWER_MS, [(topic, [(partition, batch_of([b""]))])])
            held_back.append(int((await client.send(leader, request)).throttle_time_ms))
    finally:
        await client.close()
    return max(held_back)
