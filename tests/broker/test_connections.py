"""Connections to a Kafka: what nobody closed is closed, and is no error in a log."""

import asyncio
import gc
from typing import Any

from aiokafka import conn
from broker.kafka_server import Kafka

from traderecon.transport import connections


def test_a_connection_that_was_forgotten_is_closed_at_once(kafka: Kafka) -> None:
    connections.take_over()

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

    assert asyncio.run(story()) == (True, [])
