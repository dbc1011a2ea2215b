"""The broker from a terminal: settings and a connection, or the end of the command with its exit code."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from traderecon.addresses import EMBEDDED
from traderecon.cli.console import fail
from traderecon.client.client import Client
from traderecon.exit_codes import Exit
from traderecon.settings import Settings
from traderecon.topics import topics
from traderecon.transport.errors import ClientError, NoAnswer

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what talks to a broker: 4 when it does not answer, 78 when it does not take what it is given."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say of it, our sentences say
    try:
        return asyncio.run(work)
    except NoAnswer as error:
        fail(Exit.UNREACHABLE, str(error))
    except ClientError as error:
        fail(Exit.CONFIG, str(error))


async def input_partitions(client: Client, settings: Settings) -> dict[str, int]:
    """The input topics and their partitions, each there; on the embedded log what is missing is made.

    Ends the command, 78, naming the topics that a Kafka lacks.
    """
    from traderecon.preflight.topics import make

    if settings.broker.startswith(EMBEDDED):
        await make(client, settings)
    counts = await client.topics()
    names = list(topics(settings.topic_prefix).inputs)
    if missing := [name for name in names if name not in counts]:
        fail(
            Exit.CONFIG,
            f"topics missing in {client.where}: {', '.join(missing)}. Run `traderecon topics create` first.",
        )
    return {name: counts[name] for name in names}
