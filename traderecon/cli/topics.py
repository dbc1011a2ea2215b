"""``traderecon topics``: create and check the topics of the pipeline, and print the ACLs they need."""

import json

import click
import msgspec

from traderecon.cli.broker import log_name, run
from traderecon.cli.console import counted, fail, say
from traderecon.cli.rules import effective_settings
from traderecon.cli.skip import skip
from traderecon.client.client import TopicCreation
from traderecon.client.connection import connected
from traderecon.exit_codes import Exit
from traderecon.preflight.rights import GRANTED, Right, by_resource, grant, needed, servers
from traderecon.preflight.topics import CREATE_TOPICS, Fitness, TopicStatus, create_topics, inspect, other_partitions
from traderecon.settings import Settings
from traderecon.topics import topics as topic_names


@click.group()
def topics() -> None:
    """Create and check the topics of the pipeline."""


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def create(*, as_json: bool) -> None:
    """Create every missing topic. Existing topics stay unchanged."""
    settings = effective_settings()
    say(f"creating the missing topics in {log_name(settings)}")
    created = run(_create(settings))
    names = topic_names(settings.topic_prefix)
    problems = {
        topic.topic: f"{status.text}: {status.todo}"
        for topic in created
        if (status := other_partitions(names, topic.topic, topic.partitions, settings.topic_partitions))
    }
    if as_json:
        rows = [
            {
                "topic": topic.topic,
                "made": topic.is_new,
                "partitions": topic.partitions,
                "text": problems.get(topic.topic, ""),
            }
            for topic in created
        ]
        click.echo(json.dumps(rows))
    else:
        for topic in created:
            click.echo(
                f"{topic.topic}: {'created' if topic.is_new else 'exists'}, {counted(topic.partitions, 'partition')}"
            )
    if problems:
        fail(Exit.CONFIG, "\n".join(f"{name} {problem}" for name, problem in problems.items()))


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def check(*, as_json: bool) -> None:
    """Report for each topic whether a worker can use it. Changes nothing."""
    settings = effective_settings()
    statuses = run(_inspect(settings))
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(status) for status in statuses]))
    else:
        for status in statuses:
            click.echo(_line(status))
    if blocking := sum(status.fitness.blocks for status in statuses):
        missing = sum(status.fitness is Fitness.MISSING for status in statuses)
        todo = f". {missing:,} of them {'is' if missing == 1 else 'are'} missing: {CREATE_TOPICS}" if missing else ""
        fail(Exit.CONFIG, f"{blocking} of {len(statuses)} topics cannot be used: no worker will start{todo}")
    if warnings := sum(status.fitness is not Fitness.OK for status in statuses):
        say(f"{warnings} of {len(statuses)} topics have settings to review; a worker starts anyway")


@topics.command()
@click.option("--principal", help="One principal for all roles (User:name). Default: User:<role> for each role.")
@click.option("--role", "roles", multiple=True, type=click.Choice(GRANTED), help="Only this role; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def acls(*, principal: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Print the commands that grant each role the rights it needs.

    Grants nothing by itself, and does not contact a broker.
    `operator` creates topics and replays dead letters; `feed` sends messages; `web` needs no rights.
    """
    settings = effective_settings()
    by_principal: dict[str, list[Right]] = {}
    for role in roles or GRANTED:
        by_principal.setdefault(principal or f"User:{role}", []).extend(needed(settings, [role]))
    grants = [(name, rights) for name, needs in by_principal.items() for rights in by_resource(dict.fromkeys(needs))]
    if as_json:
        click.echo(json.dumps([{"principal": name, **rights._asdict()} for name, rights in grants]))
        return
    for name, rights in grants:
        click.echo(grant(name, rights, servers(settings)))


topics.add_command(skip)


async def _create(settings: Settings) -> tuple[TopicCreation, ...]:
    async with connected(settings) as client:
        return await create_topics(client, settings)


async def _inspect(settings: Settings) -> tuple[TopicStatus, ...]:
    async with connected(settings) as client:
        return await inspect(client, settings)


def _line(status: TopicStatus) -> str:
    if status.fitness is Fitness.MISSING:
        return f"{status.fitness} {status.topic}"
    count = f", {status.partitions} partitions" if status.partitions is not None else ""
    problem = f": {status.text} -> {status.todo}" if status.text else ""
    return f"{status.fitness} {status.topic}{count}{problem}"
