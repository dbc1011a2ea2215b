"""``traderecon topics create``, ``check``, ``acls``: the topics of the pipeline made, looked at, and who may what."""

import json

import click
import msgspec

from traderecon.cli.broker import run
from traderecon.cli.console import fail, say
from traderecon.cli.rules import effective_settings
from traderecon.cli.skip import skip
from traderecon.client.client import Created
from traderecon.client.connection import connected
from traderecon.exit_codes import Exit
from traderecon.preflight.rights import GRANTED, Right, gathered, grant, needed, servers
from traderecon.preflight.topics import Fitness, Standing, inspect, make, other_partitions
from traderecon.settings import Settings
from traderecon.topics import topics as named


@click.group()
def topics() -> None:
    """Topics: what the pipeline needs of its broker."""


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def create(*, as_json: bool) -> None:
    """Make every topic that is missing. A topic that is there stays as it is."""
    settings = effective_settings()
    created = run(_create(settings))
    names = named(settings.topic_prefix)
    differing = {
        one.topic: f"{said.text}: {said.todo}"
        for one in created
        if (said := other_partitions(names, one.topic, one.partitions, settings.topic_partitions))
    }
    if as_json:
        click.echo(json.dumps([{**one._asdict(), "text": differing.get(one.topic, "")} for one in created]))
    else:
        for one in created:
            count = f"{one.partitions} partition{'s' * (one.partitions != 1)}"
            click.echo(f"{one.topic}: {'made' if one.made else 'was there'}, {count}")
    if differing:
        fail(Exit.CONFIG, "\n".join(f"{topic} {said}" for topic, said in differing.items()))


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def check(*, as_json: bool) -> None:
    """Say of each topic whether a worker can run with it. Changes nothing."""
    settings = effective_settings()
    standings = run(_inspect(settings))
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(one) for one in standings]))
    else:
        for one in standings:
            click.echo(_line(one))
    bad = [one for one in standings if one.fitness.refuses]
    if bad:
        fail(Exit.CONFIG, f"{len(bad)} of {len(standings)} topics are not as they must be: no worker will start")
    if warned := sum(one.fitness is not Fitness.OK for one in standings):
        say(f"{warned} of {len(standings)} topics have settings to look at; a worker starts all the same")


@topics.command()
@click.option("--principal", help="One for all, as Kafka writes it (User:name). Default: each role's own, User:<role>.")
@click.option("--role", "roles", multiple=True, type=click.Choice(GRANTED), help="Only this one; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def acls(*, principal: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Print the commands that grant what each role needs.

    They grant no more than that, and nobody is asked.
    `operator` makes topics and replays dead letters; `feed` sends messages; `web` needs no rights.
    """
    settings = effective_settings()
    for_whom: dict[str, list[Right]] = {}
    for role in roles or GRANTED:
        for_whom.setdefault(principal or f"User:{role}", []).extend(needed(settings, [role]))
    granted = [(whom, rights) for whom, all_of in for_whom.items() for rights in gathered(dict.fromkeys(all_of))]
    if as_json:
        click.echo(json.dumps([{"principal": whom, **rights._asdict()} for whom, rights in granted]))
        return
    for whom, rights in granted:
        click.echo(grant(whom, rights, servers(settings)))


topics.add_command(skip)


async def _create(settings: Settings) -> tuple[Created, ...]:
    async with connected(settings) as client:
        return await make(client, settings)


async def _inspect(settings: Settings) -> tuple[Standing, ...]:
    async with connected(settings) as client:
        return await inspect(client, settings)


def _line(standing: Standing) -> str:
    count = f", {standing.partitions} partitions" if standing.partitions is not None else ""
    said = f": {standing.text} -> {standing.todo}" if standing.text else ""
    return f"{standing.fitness} {standing.topic}{count}{said}"
