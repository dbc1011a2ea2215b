"""The connection of an installation: from its settings to a client of its log, and to what its workers connect with.

settings -> security -> connected(settings) -> Client          the only way: nobody else calls ``connect``
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from traderecon.addresses import EMBEDDED, KAFKA
from traderecon.durable import private
from traderecon.settings import Settings
from traderecon.transport.client import Client, connect
from traderecon.transport.security import PLAINTEXT, Security, secured


def security(settings: Settings) -> Security:
    """How a Kafka is to be spoken to. NotAccepted names the setting whose file cannot be used."""
    if not settings.broker.startswith(KAFKA):
        return PLAINTEXT
    return secured(
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
    """A client of the log that the settings name. NoAnswer: nobody there; NotAccepted: whoever is there refuses us."""
    if settings.broker.startswith(EMBEDDED):
        private()  # whoever comes first makes the log
    async with connect(settings.broker, settings.data_dir, security(settings)) as client:
        yield client
