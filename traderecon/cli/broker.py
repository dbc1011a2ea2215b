"""Broker access for commands: an error ends the command with its exit code."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from traderecon.addresses import EMBEDDED
from traderecon.cli.console import fail
from traderecon.client.client import Client
from traderecon.exit_codes import Exit
from traderecon.records.formats import OtherFormat
from traderecon.settings import Settings
from traderecon.topics import topics
from traderecon.transport.errors import ClientError, NoAnswer
from traderecon.transport.log.open_log import NAME as LOG_NAME

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that talks to a broker; an error ends the command, see ``broker_errors``."""
    with broker_errors():
        return asyncio.run(work)


@contextmanager
def broker_errors() -> Iterator[None]:
    """End the command with 4 if the broker does not answer, 78 if it refuses, or a newer version wrote a record."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the command reports the same errors
    try:
        yield
    except NoAnswer as error:
        fail(Exit.UNREACHABLE, str(error))
    except ClientError as error:
        fail(Exit.CONFIG, str(error))
    except OtherFormat as error:
        fail(error.exit_code, str(error))


def log_name(settings: Settings) -> str:
    """The log to write to, printed first: the default depends on the working directory."""
    if not settings.broker.startswith(EMBEDDED):
        return settings.broker
    file = settings.data_dir / LOG_NAME
    return f"the embedded log {file}" + ("" if file.exists() else ", which is new")


async def input_partitions(client: Client, settings: Settings) -> dict[str, int]:
    """The number of partitions of each input topic; missing ones are created on the embedded log.

    On Kafka, missing topics end the command with 78.
    """
    from traderecon.preflight.topics import create_topics

    if settings.broker.startswith(EMBEDDED):
        await create_topics(client, settings)
    counts = await client.topics()
    names = list(topics(settings.topic_prefix).inputs)
    if missing := [name for name in names if name not in counts]:
        fail(
            Exit.CONFIG,
            f"topics missing in {client.where}: {', '.join(missing)}. Run `traderecon topics create` first.",
        )
    return {name: counts[name] for name in names}
