"""``traderecon state``: the state of matching, rebuilt where its table has lost what the journal no longer has."""

import json

import click
import msgspec

from traderecon.cli.broker import run
from traderecon.cli.console import progress, say
from traderecon.cli.rules import effective_settings
from traderecon.client.connection import connected
from traderecon.settings import Settings
from traderecon.topics import topics
from traderecon.worker.state import Rebuilt
from traderecon.worker.state import rebuild as rebuilt

SCRATCH = "state-rebuild"


@click.group()
def state() -> None:
    """State: what matching knows of the trades, and how it gets it back."""


@state.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def rebuild(*, as_json: bool) -> None:
    """Rebuild matching's table from the output topics.

    For a table that has lost what the journal no longer reaches back to. Stop all workers first. What was published
    of each trade is read from the output topics, and from the database what
    they no longer have; it becomes rows of the changelog. The rest is in the journal, which the workers read again when
    they start. A trade that was still waiting, and whose legs the journal no longer has, is lost: send its legs again.
    A rebuild that was cut off is run again; where nothing is to be done, nothing is changed.
    """
    done = run(_rebuild(effective_settings()))
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(one) for one in done]))
    else:
        for one in done:
            click.echo(_line(one))
    count = sum(one.lost > 0 for one in done)
    say(
        f"{count} of {len(done)} partitions rebuilt" if count else "nothing to do: the journal has what the table lacks"
    )


async def _rebuild(settings: Settings) -> list[Rebuilt]:
    names = topics(settings.topic_prefix)
    async with connected(settings) as client:
        counts = await client.topics()
        read = [name for name in (names.reconciled, names.mismatch) if name in counts]
        total = sum([sum((await client.ends(name)).values()) for name in read])
        with progress(total, "reading what was published") as advance:
            return await rebuilt(
                client,
                names,
                f"{settings.topic_prefix}traderecon-matching",
                database_url=settings.database_url,
                scratch=settings.data_dir / SCRATCH,
                advance=advance,
            )


def _line(one: Rebuilt) -> str:
    where = (
        f"{one.topic}[{one.partition}]: the table knew {one.known} offsets, the journal has {one.first} to {one.end}"
    )
    if not one.lost:
        return f"{where}: nothing to do"
    return f"{where}: {one.results} results read, {one.rows} rows written for what was below {one.first}"
