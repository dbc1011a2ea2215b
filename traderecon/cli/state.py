"""``traderecon state``: rebuild the matching table when it has lost records that the journal no longer has."""

import json

import click
import msgspec

from traderecon.cli.broker import run
from traderecon.cli.console import progress, say
from traderecon.cli.rules import effective_settings
from traderecon.client.connection import connected
from traderecon.settings import Settings
from traderecon.topics import topics
from traderecon.worker.state import RebuiltPartition
from traderecon.worker.state import rebuild as rebuild_tables

SCRATCH = "state-rebuild"


@click.group()
def state() -> None:
    """Rebuild the state of matching."""


@state.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def rebuild(*, as_json: bool) -> None:
    """Rebuild the matching table from the output topics.

    For a table that has lost records older than the journal. Stop all workers first. The published results of each
    trade are read from the output topics, or from the database where the topics have expired, and become rows of the
    changelog. The workers read the rest from the journal when they start. A trade that was still waiting, and whose
    legs are no longer in the journal, is lost: send its legs again. If the command is interrupted, run it again; it
    changes nothing if no rebuild is needed.
    """
    partitions = run(_rebuild(effective_settings()))
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(partition) for partition in partitions]))
    else:
        for partition in partitions:
            click.echo(_line(partition))
    count = sum(partition.lost > 0 for partition in partitions)
    if count:
        say(f"{count} of {len(partitions)} partitions rebuilt")
    else:
        say("nothing to do: the journal has every record that the table lacks")


async def _rebuild(settings: Settings) -> list[RebuiltPartition]:
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        counts = await client.topics()
        outputs = [name for name in (names.reconciled, names.mismatch) if name in counts]
        total = sum([sum((await client.ends(name)).values()) for name in outputs])
        with progress(total, "reading results") as advance:
            return await rebuild_tables(
                client,
                names,
                f"{settings.topic_prefix}traderecon-matching",
                database_url=settings.database_url,
                scratch=settings.data_dir / SCRATCH,
                advance=advance,
            )


def _line(partition: RebuiltPartition) -> str:
    text = (
        f"{partition.topic}[{partition.partition}]: the table had {partition.known} offsets, the journal has "
        f"{partition.first} to {partition.end}"
    )
    if not partition.lost:
        return f"{text}: nothing to do"
    results = f"{partition.results} results read, {partition.rows} rows written"
    return f"{text}: {results} for offsets below {partition.first}"
