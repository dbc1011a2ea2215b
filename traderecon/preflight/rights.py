"""The ACLs that each role needs on a Kafka with authorization: list them, check them, print the commands to grant them.

needed(settings, roles) -> (Right, ...) -> missing(client, rights) -> the rights to grant
                                        -> by_resource(rights) -> grant(principal, rights) -> a command
"""

import shlex
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from traderecon.addresses import KAFKA
from traderecon.addresses import servers as servers_of
from traderecon.client.client import GROUP, TOPIC, Client
from traderecon.settings import Settings
from traderecon.topics import Topics, topics

OPERATOR, FEED = "operator", "feed"
"""The operator creates topics, replays dead letters, skips lost records and rebuilds state; a feed sends messages."""
GRANTED = (OPERATOR, "intake", "matching", "sink", FEED)
"""The roles that need rights at all."""
READ_BACK = "Read", "Write"
"""For topics a role writes to: on restart it checks that each still holds the last record it wrote."""
DESCRIBE_CONFIGS = "DescribeConfigs"


class Right(NamedTuple):
    """One operation on one topic or group, in Kafka's terms; ``prefixed``: on all with this prefix."""

    operation: str
    kind: str
    name: str
    prefixed: bool = False

    @property
    def example(self) -> str:
        """A topic or group that the right covers."""
        return f"{self.name}0" if self.prefixed else self.name


class Rights(NamedTuple):
    """Several operations on one topic or group, or on all with this prefix (``prefixed``)."""

    operations: tuple[str, ...]
    kind: str
    name: str
    prefixed: bool = False

    def __str__(self) -> str:
        """The continuation of a sentence after "may not"."""
        *others, last = self.operations
        operations = f"{', '.join(others)} or {last}" if others else last
        name = f"{self.name}*" if self.prefixed else self.name
        return f"{operations}{' to' if operations == 'Write' else ''} {self.kind} {name}"


def needed(settings: Settings, roles: Iterable[str]) -> tuple[Right, ...]:
    """Every right that these roles need, without duplicates; ``web`` needs none.

    Read and Write imply Describe. DescribeConfigs is for the preflight, which checks each topic's settings.
    """
    names = topics(settings.topic_prefix)
    rights = (right for role in roles for right in _of(role, names, settings))
    return tuple(dict.fromkeys(rights))


async def missing(client: Client, rights: Collection[Right]) -> tuple[Right, ...]:
    """The rights that this client's principal does not have, according to the broker; changes nothing."""
    topic_names = dict.fromkeys(right.example for right in rights if right.kind == TOPIC)
    groups = dict.fromkeys(right.example for right in rights if right.kind == GROUP)
    granted = await client.rights(tuple(topic_names), tuple(groups))
    return tuple(
        right for right in rights if not _is_granted(right, granted.get((right.kind, right.example), right[:1]))
    )


def by_resource(rights: Iterable[Right]) -> tuple[Rights, ...]:
    """The rights, grouped by topic and group."""
    operations: dict[tuple[str, str, bool], list[str]] = {}
    for right in rights:
        operations.setdefault((right.kind, right.name, right.prefixed), []).append(right.operation)
    return tuple(Rights(tuple(names), *resource) for resource, names in operations.items())


def grant(principal: str, rights: Rights, broker: str) -> str:
    """The command that grants rights; the granting user's credentials are in ``admin.properties``."""
    operations = " ".join(f"--operation {operation}" for operation in rights.operations)
    return (
        f"kafka-acls.sh --bootstrap-server {broker} --command-config admin.properties --add "
        f"--allow-principal {shlex.quote(principal)} {operations} --{rights.kind} {shlex.quote(rights.name)}"
        f"{' --resource-pattern-type prefixed' if rights.prefixed else ''}"
    )


def servers(settings: Settings) -> str:
    """The brokers in the form Kafka's own commands take; a placeholder on the embedded log."""
    if not settings.broker.startswith(KAFKA):
        return "HOST:9092"
    return ",".join(servers_of(settings.broker))


def _of(role: str, names: Topics, settings: Settings) -> Iterator[Right]:
    group_name = f"{settings.topic_prefix}traderecon-{role}"
    group = Right("Read", GROUP, group_name)
    match role:
        case "intake":
            yield group
            yield from _on(("Read",), *names.inputs, names.actions)
            yield from _on(READ_BACK, names.legs, names.dead_letters, names.accounts)
        case "matching":
            yield group
            yield from _on(("Read",), names.legs)
            yield from _on(READ_BACK, *names.published, names.actions, names.changelog)
        case "sink":
            yield Right("Read", GROUP, f"{group_name}-", prefixed=True)  # each database has its own group
            yield from _on(("Read",), *names.outputs)
            yield from _on(READ_BACK, names.dead_letters, names.checkpoints)
        case "feed":
            yield from (Right("Write", TOPIC, name) for name in names.inputs)
        case "operator":
            yield from _on(
                ("Create", "Describe"),
                *(topic.name for topic in names.declared(settings.retention_days, settings.database_retention_days)),
            )
            repaired = (*names.inputs, names.legs, names.actions, names.accounts, names.changelog)
            yield from (Right(operation, TOPIC, name) for name in repaired for operation in ("Read", "Write"))
            yield from (Right("Read", TOPIC, name) for name in (names.reconciled, names.mismatch))
            # `topics skip` commits offsets for the groups of these stages.
            yield from (
                Right("Read", GROUP, f"{settings.topic_prefix}traderecon-{stage}") for stage in ("intake", "matching")
            )
        case _:
            return


def _on(operations: tuple[str, ...], *names: str) -> Iterator[Right]:
    for name in names:
        yield from (Right(operation, TOPIC, name) for operation in (*operations, DESCRIBE_CONFIGS))


def _is_granted(right: Right, granted: Collection[str] | None) -> bool:
    """``granted``: the operations allowed; None: the topic does not exist, and this principal may create it."""
    return granted is None or right.operation in granted
