"""Connections of an installation: a client of the log, and the security arguments of its workers, from its settings.

settings -> security -> connected(settings) -> Client          other modules do not call ``connect``
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from traderecon.addresses import EMBEDDED, KAFKA, embedded_directory
from traderecon.client.client import Client
from traderecon.durable import private
from traderecon.settings import Settings
from traderecon.transport.errors import NotAccepted
from traderecon.transport.security import PLAINTEXT, Security, make_security


def security(settings: Settings) -> Security:
    """Protocol and credentials for Kafka. NotAccepted names the setting whose file cannot be used."""
    if not settings.broker.startswith(KAFKA):
        return PLAINTEXT
    return make_security(
        settings.kafka_security.upper(),
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value() if settings.kafka_password is not None else "",
        mechanism=settings.kafka_sasl_mechanism,
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Client]:
    """A client of the log in the settings. NoAnswer if it does not answer, NotAccepted if it rejects the connection."""
    if settings.broker.startswith(EMBEDDED):
        private()  # connecting may create the log
    async with connect(settings.broker, settings.data_dir, security(settings)) as client:
        yield client


@asynccontextmanager
async def connect(broker: str, data_dir: Path, security: Security | None = None) -> AsyncIterator[Client]:
    """A client of ``kafka://host:port`` (several: ``;``) or ``embedded://``, the log in ``data_dir``.

    ``embedded:///absolute/path`` is the log in that directory. NoAnswer after ``CONNECT_S``; NotAccepted if the
    embedded log cannot be opened, or Kafka rejects the connection. ``security``: None is plain text. With settings,
    use ``traderecon.client.connection.connected``.
    """
    if broker.startswith(KAFKA):
        from traderecon.client.kafka_client import KafkaClient

        async with KafkaClient.connect(broker, security or PLAINTEXT) as kafka:
            yield kafka
    elif broker.startswith(EMBEDDED):
        from traderecon.client.embedded_client import EmbeddedClient

        try:
            directory = embedded_directory(broker) or data_dir
        except ValueError as error:
            raise NotAccepted(str(error)) from None
        async with EmbeddedClient.open(directory) as embedded:
            yield embedded
    else:
        raise NotAccepted(f"{broker!r} is not a broker URL: write embedded:// or kafka://host:9092")
