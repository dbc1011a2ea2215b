"""The rights that each role needs on a Kafka that asks for them: listed, granted in commands, and looked at beforehand.

needed(settings, roles) -> (Right, ...) -> lacking(client, ...) -> what is missing
gathered -> grant(principal, rights) -> the command
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
"""Who makes topics, replays dead letters, skips what is gone, rebuilds state; who sends what is reconciled."""
GRANTED = (OPERATOR, "intake", "matching", "sink", FEED)
"""Who needs rights at all."""
READ_BACK = "Read", "Write"
"""For topics a role writes to: on restart it checks that each still holds the last record it wrote."""
LOOK = "DescribeConfigs"


class Right(NamedTuple):
    """One operation on one topic or group, in Kafka's words; ``prefixed``: on all whose names begin so."""

    operation: str
    kind: str
    name: str
    prefixed: bool = False

    @property
    def example(self) -> str:
        """A name it is about."""
        return f"{self.name}0" if self.prefixed else self.name


class Rights(NamedTuple):
    """What somebody may, or may not, do with one topic or group, or with all whose names begin so (``prefixed``)."""

    operations: tuple[str, ...]
    kind: str
    name: str
    prefixed: bool = False

    def __str__(self) -> str:
        """As a sentence goes on after "may not"."""
        *others, last = self.operations
        operations = f"{', '.join(others)} or {last}" if others else last
        name = f"{self.name}*" if self.prefixed else self.name
        return f"{operations}{' to' if operations == 'Write' else ''} {self.kind} {name}"


def needed(settings: Settings, roles: Iterable[str]) -> tuple[Right, ...]:
    """Every right that these roles need, each once; ``web`` needs none.

    Read and Write include Describe. DescribeConfigs is for the preflight, which looks at each topic's settings.
    """
    names = topics(settings.topic_prefix)
    rights = (right for role in roles for right in _of(role, names, settings))
    return tuple(dict.fromkeys(rights))


async def lacking(client: Client, rights: Collection[Right]) -> tuple[Right, ...]:
    """Those of these rights that we do not have, by what the broker says; nothing is changed."""
    of_topics = dict.fromkeys(right.example for right in rights if right.kind == TOPIC)
    of_groups = dict.fromkeys(right.example for right in rights if right.kind == GROUP)
    found = await client.rights(tuple(of_topics), tuple(of_groups))
    return tuple(right for right in rights if not _granted(right, found.get((right.kind, right.example), right[:1])))


def gathered(rights: Iterable[Right]) -> tuple[Rights, ...]:
    """The same rights, by topic and group."""
    found: dict[tuple[str, str, bool], list[str]] = {}
    for right in rights:
        found.setdefault((right.kind, right.name, right.prefixed), []).append(right.operation)
    return tuple(Rights(tuple(operations), *what) for what, operations in found.items())


def grant(principal: str, rights: Rights, broker: str) -> str:
    """The command that grants rights; ``admin.properties`` says who grants."""
    operations = " ".join(f"--operation {operation}" for operation in rights.operations)
    return (
        f"kafka-acls.sh --bootstrap-server {broker} --command-config admin.properties --add "
        f"--allow-principal {shlex.quote(principal)} {operations} --{rights.kind} {shlex.quote(rights.name)}"
        f"{' --resource-pattern-type prefixed' if rights.prefixed else ''}"
    )


def servers(settings: Settings) -> str:
    """The brokers as Kafka's own commands take them; a place to fill in where the settings name none."""
    if not settings.broker.startswith(KAFKA):
        return "HOST:9092"
    return ",".join(servers_of(settings.broker))


def _of(role: str, names: Topics, settings: Settings) -> Iterator[Right]:
    mine = f"{settings.topic_prefix}traderecon-{role}"
    group = Right("Read", GROUP, mine)
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
            yield Right("Read", GROUP, f"{mine}-", prefixed=True)  # each database has a group of its own
            yield from _on(("Read",), *names.outputs)
            yield from _on(READ_BACK, names.dead_letters, names.checkpoints)
        case "feed":
            yield from (Right("Write", TOPIC, name) for name in names.inputs)
        case "operator":
            yield from _on(
                ("Create", "Describe"),
                *(topic.name for topic in names.declared(settings.retention_days, settings.database_retention_days)),
            )
            mended = (*names.inputs, names.legs, names.actions, names.accounts, names.changelog)
            yield from (Right(operation, TOPIC, name) for name in mended for operation in ("Read", "Write"))
            yield from (Right("Read", TOPIC, name) for name in (names.reconciled, names.mismatch))
            # To go on behind records that are gone is to commit for who reads them.
            yield from (
                Right("Read", GROUP, f"{settings.topic_prefix}traderecon-{one}") for one in ("intake", "matching")
            )
        case _:
            return


def _on(operations: tuple[str, ...], *names: str) -> Iterator[Right]:
    for name in names:
        yield from (Right(operation, TOPIC, name) for operation in (*operations, LOOK))


def _granted(right: Right, found: Collection[str] | None) -> bool:
    """``found``: what we may do; None: a topic that is not there, and that we may make."""
    return found is None or right.operation in found
