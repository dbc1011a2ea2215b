"""A connection that is gone is told as one, under the loop a worker runs with; the client then makes another."""

import asyncio
import gc
from typing import Any

import pytest
import uvloop
from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from broker.kafka_server import Kafka

from traderecon.transport import connections

STEPS = 5
"""Of the loop, in which a connection closes and aiokafka notices it."""


def asked_when_closed(kafka: Kafka, steps: int) -> Any:
    """A client's connection is cut; so many steps of the loop later its metadata is asked for, by it and by us."""

    async def asked() -> bool:
        connections.install()
        client = AIOKafkaClient(bootstrap_servers=kafka.address)
        await client.bootstrap()
        await client.ready(client.get_random_node())
        (connection,) = client._conns.values()
        connection._writer.transport.abort()
        for _ in range(steps):
            await asyncio.sleep(0)
        broken = False
        try:
            await connection.send(MetadataRequest([]))
        except KafkaConnectionError:
            broken = True
        assert await asyncio.wait_for(client.force_metadata_update(), 10)
        await client.close()
        return broken

    return uvloop.run(asked())


@pytest.mark.matrix("B1", "B3")
@pytest.mark.parametrize("steps", range(STEPS))
def test_a_request_into_a_closed_connection_finds_it_broken(kafka: Kafka, steps: int) -> None:
    assert asked_when_closed(kafka, steps)


def test_a_connection_that_was_forgotten_is_closed_at_once(kafka: Kafka) -> None:
    connections.install()

    async def story() -> tuple[Any, list[Any]]:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        host, port = kafka.address.split(":")
        forgotten = await conn.create_conn(host, int(port))
        transport = forgotten._writer.transport
        assert not transport.is_closing()
        del forgotten
        gc.collect()
        return transport.is_closing(), errors

    assert uvloop.run(story()) == (True, [])
