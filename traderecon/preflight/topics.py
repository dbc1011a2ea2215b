"""The topics of the pipeline on a broker: made where they are missing, and looked at before anybody leans on them.

    make(client, settings) -> (Created, ...)        inspect(client, settings) -> (Standing, ...)

Inputs may have any number of partitions: the journal repairs them. Ours have one number, the one of the settings.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum

import msgspec

from traderecon.client.client import Client, Copies, Created
from traderecon.settings import Settings
from traderecon.topics import Topic, Topics, topics

MAKE = "run `traderecon topics create`"
STAMPED = "message.timestamp.type"
IN_SYNC = "min.insync.replicas"
COPIES, COPIES_IN_SYNC = 3, 2
"""So many of each topic where the cluster has as many brokers: one may die, and another while it is away."""


class Fitness(StrEnum):
    """Whether a topic is as it must be."""

    OK = "OK"
    MISSING = "MISSING"
    OTHER_PARTITIONS = "OTHER_PARTITIONS"
    OTHER_SETTINGS = "OTHER_SETTINGS"
    NO_TIME = "NO_TIME"
    FEW_COPIES = "FEW_COPIES"

    @property
    def refuses(self) -> bool:
        """Whether no worker may run with it."""
        return self in {Fitness.MISSING, Fitness.OTHER_PARTITIONS, Fitness.NO_TIME}


class Standing(msgspec.Struct, frozen=True):
    """One topic as it is on the broker; where it is not OK, what is wrong with it and what to do."""

    topic: str
    fitness: Fitness
    partitions: int | None
    text: str = ""
    todo: str = ""


async def make(client: Client, settings: Settings) -> tuple[Created, ...]:
    """Make every topic that is missing; one that is there stays as it is. Raises ``ClientError``."""
    declared = topics(settings.topic_prefix).declared(settings.retention_days, settings.database_retention_days)
    return tuple([await client.create(topic, settings.topic_partitions) for topic in declared])


async def inspect(client: Client, settings: Settings, only: Collection[str] | None = None) -> tuple[Standing, ...]:
    """Every topic of the pipeline, or ``only`` these, in its order. Raises ``ClientError``."""
    names = topics(settings.topic_prefix)
    counts, copies = await client.topics(), await client.copies()
    return tuple(
        [
            await _standing(client, names, topic, counts.get(topic.name), settings.topic_partitions, copies)
            for topic in names.declared(settings.retention_days, settings.database_retention_days)
            if only is None or topic.name in only
        ]
    )


def other_partitions(names: Topics, topic: str, found: int, asked: int) -> Standing | None:
    """What to say of a topic that has another number of partitions; None where it may have any."""
    if found == asked or topic in names.inputs:
        return None
    return Standing(
        topic,
        Fitness.OTHER_PARTITIONS,
        found,
        f"has {found} partitions, and must have {asked} as all topics of ours",
        f"set TRADERECON_TOPIC_PARTITIONS={found} where all of them have so many, or begin with a "
        "TRADERECON_TOPIC_PREFIX of its own",
    )


async def _standing(  # noqa: PLR0917  # a topic, as it is and as it should be
    client: Client, names: Topics, topic: Topic, found: int | None, asked: int, copies: Copies
) -> Standing:
    if found is None:
        return Standing(topic.name, Fitness.MISSING, None, "is missing", MAKE)
    if differs := other_partitions(names, topic.name, found, asked):
        return differs
    config = await client.config(topic.name)
    if topic.name == names.legs and config.get(STAMPED) != topic.config()[STAMPED]:
        stamped = config.get(STAMPED, "unknown")
        text = f"has {STAMPED} {stamped}: time comes from this topic, and no grace would ever end"
        return Standing(topic.name, Fitness.NO_TIME, found, text, f"set {STAMPED}=LogAppendTime with kafka-configs")
    wrong = list(_other_settings(names, topic, config))
    if not wrong:
        return _few_copies(topic.name, found, config, copies) or Standing(topic.name, Fitness.OK, found)
    return Standing(
        topic.name,
        Fitness.OTHER_SETTINGS,
        found,
        "; ".join(f"has {name} {is_set}, not {wanted}: {costs}" for name, is_set, wanted, costs in wrong),
        f"set {', '.join(f'{name}={wanted}' for name, _, wanted, _ in wrong)} with Kafka's own tools (kafka-configs)",
    )


def _few_copies(topic: str, found: int, config: Mapping[str, str], copies: Copies) -> Standing | None:
    """What to say of a topic with fewer copies than the cluster could keep; None where it has enough."""
    if copies.brokers < COPIES:
        return None
    there, in_sync = copies.topics.get(topic, 0), int(config.get(IN_SYNC) or 1)
    said, todo = [], []
    if there < COPIES:
        said.append(f"has {there} cop{'y' if there == 1 else 'ies'} on a cluster of {copies.brokers} brokers")
        todo.append(f"give it {COPIES} copies with kafka-reassign-partitions")
    if in_sync < COPIES_IN_SYNC:
        said.append(f"has {IN_SYNC} {in_sync}")
        todo.append(f"set {IN_SYNC}={COPIES_IN_SYNC} with kafka-configs")
    if not said:
        return None
    costs = "a broker that dies stops it, or takes with it what was acknowledged"
    return Standing(topic, Fitness.FEW_COPIES, found, f"{' and '.join(said)}: {costs}", ", and ".join(todo))


def _other_settings(names: Topics, topic: Topic, config: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """What is set otherwise than it should be: its name, what it is, what it should be, and what that costs."""
    wanted = topic.config()
    policy, limit = "cleanup.policy", "max.message.bytes"
    if topic.name in names.inputs and config.get(STAMPED) != wanted[STAMPED]:
        costs = "a leg counts as received when it is read, not when the broker got it: nobody knows how late it was"
        yield STAMPED, config.get(STAMPED, "unknown"), wanted[STAMPED], costs
    if ("compact" in config.get(policy, "")) != topic.compacted:
        costs = "it grows without need" if topic.compacted else "records that count are thrown away"
        yield policy, config.get(policy, "unknown"), wanted[policy], costs
    if int(config.get(limit) or 0) < int(wanted.get(limit, 0)):
        costs = "a trade with many legs may not fit, and stops the worker"
        yield limit, config.get(limit, "unknown"), wanted[limit], costs
