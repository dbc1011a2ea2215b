"""The topics of the pipeline on a broker: create the missing ones, check the existing ones.

    create_topics(client, settings) -> (TopicCreation, ...)        inspect(client, settings) -> (TopicStatus, ...)

Input topics may have any number of partitions: the journal repartitions. All others have the number in the settings.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum

import msgspec

from traderecon.client.client import Client, ReplicaCounts, TopicCreation
from traderecon.settings import Settings
from traderecon.topics import Topic, Topics, topics

CREATE_TOPICS = "run `traderecon topics create`"
TIMESTAMP_TYPE = "message.timestamp.type"
MIN_IN_SYNC = "min.insync.replicas"
REPLICAS, REPLICAS_IN_SYNC = 3, 2
"""Required if the cluster has that many brokers: it can lose one, and another before the first is back."""


class Fitness(StrEnum):
    """Whether a worker can use a topic."""

    OK = "OK"
    MISSING = "MISSING"
    OTHER_PARTITIONS = "OTHER_PARTITIONS"
    OTHER_SETTINGS = "OTHER_SETTINGS"
    NO_TIME = "NO_TIME"
    FEW_COPIES = "FEW_COPIES"

    @property
    def blocks(self) -> bool:
        """Whether it keeps every worker from starting."""
        return self in {Fitness.MISSING, Fitness.OTHER_PARTITIONS, Fitness.NO_TIME}


class TopicStatus(msgspec.Struct, frozen=True):
    """One topic on the broker; if it is not OK, what is wrong and what to do."""

    topic: str
    fitness: Fitness
    partitions: int | None
    text: str = ""
    todo: str = ""


async def create_topics(client: Client, settings: Settings) -> tuple[TopicCreation, ...]:
    """Create every missing topic; existing ones stay unchanged. Raises ``ClientError``."""
    declared = topics(settings.topic_prefix).declared(settings.retention_days, settings.database_retention_days)
    return tuple([await client.create(topic, settings.topic_partitions) for topic in declared])


async def inspect(client: Client, settings: Settings, only: Collection[str] | None = None) -> tuple[TopicStatus, ...]:
    """The status of every topic of the pipeline, or ``only`` these, in pipeline order. Raises ``ClientError``."""
    names = topics(settings.topic_prefix)
    counts, replicas = await client.topics(), await client.replica_counts()
    return tuple(
        [
            await _status(client, names, topic, counts.get(topic.name), settings.topic_partitions, replicas)
            for topic in names.declared(settings.retention_days, settings.database_retention_days)
            if only is None or topic.name in only
        ]
    )


def other_partitions(names: Topics, topic: str, partitions: int, expected: int) -> TopicStatus | None:
    """The status of a topic with the wrong number of partitions; None if the number is right or may be any."""
    if partitions == expected or topic in names.inputs:
        return None
    return TopicStatus(
        topic,
        Fitness.OTHER_PARTITIONS,
        partitions,
        f"has {partitions} partitions, but must have {expected}",
        f"set TRADERECON_TOPIC_PARTITIONS={partitions} if all topics of the pipeline have as many, or start with a new "
        "TRADERECON_TOPIC_PREFIX",
    )


async def _status(  # noqa: PLR0917  # actual and expected properties of one topic
    client: Client, names: Topics, topic: Topic, partitions: int | None, expected: int, replicas: ReplicaCounts
) -> TopicStatus:
    if partitions is None:
        return TopicStatus(topic.name, Fitness.MISSING, None, "is missing", CREATE_TOPICS)
    if status := other_partitions(names, topic.name, partitions, expected):
        return status
    config = await client.config(topic.name)
    if topic.name == names.legs and config.get(TIMESTAMP_TYPE) != topic.config()[TIMESTAMP_TYPE]:
        actual = config.get(TIMESTAMP_TYPE, "unknown")
        text = f"has {TIMESTAMP_TYPE} {actual}: the watermark comes from this topic, and no grace would ever end"
        todo = f"set {TIMESTAMP_TYPE}=LogAppendTime with kafka-configs"
        return TopicStatus(topic.name, Fitness.NO_TIME, partitions, text, todo)
    deviations = list(_deviations(names, topic, config))
    if not deviations:
        status = _few_replicas(topic.name, partitions, config, replicas)
        return status or TopicStatus(topic.name, Fitness.OK, partitions)
    return TopicStatus(
        topic.name,
        Fitness.OTHER_SETTINGS,
        partitions,
        "; ".join(f"has {name} {actual}, not {wanted}: {effect}" for name, actual, wanted, effect in deviations),
        f"set {', '.join(f'{name}={wanted}' for name, _, wanted, _ in deviations)} with kafka-configs",
    )


def _few_replicas(
    topic: str, partitions: int, config: Mapping[str, str], replicas: ReplicaCounts
) -> TopicStatus | None:
    """The status of a topic with fewer replicas than the cluster could hold; None if it has enough."""
    if replicas.brokers < REPLICAS:
        return None
    count, in_sync = replicas.topics.get(topic, 0), int(config.get(MIN_IN_SYNC) or 1)
    texts, todo = [], []
    if count < REPLICAS:
        texts.append(f"has {count} replica{'' if count == 1 else 's'} on a cluster of {replicas.brokers} brokers")
        todo.append(f"give it {REPLICAS} replicas with kafka-reassign-partitions")
    if in_sync < REPLICAS_IN_SYNC:
        texts.append(f"has {MIN_IN_SYNC} {in_sync}")
        todo.append(f"set {MIN_IN_SYNC}={REPLICAS_IN_SYNC} with kafka-configs")
    if not texts:
        return None
    effect = "the loss of a broker stops it, or loses acknowledged records"
    return TopicStatus(topic, Fitness.FEW_COPIES, partitions, f"{' and '.join(texts)}: {effect}", ", and ".join(todo))


def _deviations(names: Topics, topic: Topic, config: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Settings that differ from the required ones: (name, actual, required, effect)."""
    wanted = topic.config()
    policy, limit = "cleanup.policy", "max.message.bytes"
    if topic.name in names.inputs and config.get(TIMESTAMP_TYPE) != wanted[TIMESTAMP_TYPE]:
        effect = "a leg counts as received when intake reads it, not when the broker gets it, so its delay is unknown"
        yield TIMESTAMP_TYPE, config.get(TIMESTAMP_TYPE, "unknown"), wanted[TIMESTAMP_TYPE], effect
    if ("compact" in config.get(policy, "")) != topic.compacted:
        effect = "it grows needlessly" if topic.compacted else "records that are needed are deleted"
        yield policy, config.get(policy, "unknown"), wanted[policy], effect
    if int(config.get(limit) or 0) < int(wanted.get(limit, 0)):
        effect = "a trade with many legs may not fit, which stops the worker"
        yield limit, config.get(limit, "unknown"), wanted[limit], effect
