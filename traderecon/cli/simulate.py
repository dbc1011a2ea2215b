"""``traderecon simulate``: three feeds with known faults, to the broker or as CSV files."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

from traderecon.cli.console import counted, fail, progress, say
from traderecon.cli.rules import effective_settings
from traderecon.exit_codes import Exit
from traderecon.simulator import PROFILES, Message, Profile, feed, messages, paced, write_csv

_STRIDE = 1_000
_LONG_TRADES = 20_000


@click.command(
    epilog="Profiles: " + "; ".join(f"{profile.name} ({profile.about})" for profile in PROFILES.values()) + "."
)
@click.option("--trades", type=click.IntRange(min=1), default=1000, show_default=True, help="How many trades.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True, help="Another seed, another day."
)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="typical", show_default=True, help="How much goes wrong."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="R",
    help="So many trades a second. Default: as fast as the broker takes them.",
)
@click.option(
    "--csv",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write files here instead; made if missing. Files of these names are replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was sent or written as one line of JSON.")
def simulate(
    *, trades: int, seed: int, profile: str, rate: float | None, directory: Path | None, as_json: bool
) -> None:
    """Send the three feeds to the broker, or make executions.csv, broker_confirmations.csv and pnl_snapshot.csv.

    The same arguments give the same bytes, on every machine. Trade i depends on the seed, the profile and i alone.
    """
    chosen = PROFILES[profile]
    about = {"trades": trades, "seed": seed, "profile": profile}
    if directory is None:
        _send(trades, seed, chosen, rate, about, as_json=as_json)
        return
    if rate is not None:
        raise click.UsageError("--rate is for a broker: files are written as fast as it goes")
    rows = _written(trades, seed, chosen, directory)
    if as_json:
        click.echo(json.dumps({**about, "files": {path.name: count for path, count in rows.items()}}))
        return
    for path, count in rows.items():
        say(f"{path}: {counted(count, 'row')}")


def _written(trades: int, seed: int, profile: Profile, directory: Path) -> Mapping[Path, int]:
    try:
        with progress(trades, "trades") as advance:
            return write_csv(_watched(feed(seed, trades, profile), advance), profile, directory)
    except OSError as error:
        fail(
            Exit.USAGE,
            f"cannot write the files to {str(directory)!r}: {error.strerror or error}; "
            "give --csv a directory that can be written, on a disk with room",
        )


def _watched(messages: Iterable[Message], advance: Callable[[int], None]) -> Iterator[Message]:
    """The messages as they come; every thousand positions of virtual time are told."""
    told = 0
    for message in messages:
        if message.position >= told + _STRIDE:
            advance(_STRIDE)
            told += _STRIDE
        yield message


def _send(
    trades: int, seed: int, profile: Profile, rate: float | None, about: Mapping[str, object], *, as_json: bool
) -> None:
    """Send the day; however it ends, say what the broker has acknowledged."""
    # Faust comes with them, and files need neither.
    from traderecon.cli.broker import input_partitions, run
    from traderecon.client.connection import connected
    from traderecon.client.outbox import Outbox
    from traderecon.topics import topics
    from traderecon.transport.microbatch import Outgoing

    settings = effective_settings()
    topic_of = {source: topic for topic, source in topics(settings.topic_prefix).inputs.items()}
    sent: Counter[str] = Counter(dict.fromkeys(topic_of.values(), 0))

    async def send(advance: Callable[[int], None]) -> None:
        async with connected(settings) as client:
            partitions = await input_partitions(client, settings)
            outbox = Outbox(client, sent)
            told = 0
            async for due in paced(messages(seed, trades, profile), rate):
                for message in due:
                    topic = topic_of[message.source]
                    outbox.put(topic, message.partition(partitions[topic]), Outgoing(message.key, message.value))
                await outbox.flush()
                advance(due[-1].position - told)
                told = due[-1].position

    complete = False
    try:
        with progress(trades, "trades", long=1 if rate else _LONG_TRADES) as advance:
            run(send(advance))
        complete = True
    finally:
        if complete or sent.total():
            for topic, count in sent.items():
                say(f"{topic}: {counted(count, 'message')}")
        if as_json:
            click.echo(json.dumps({**about, "complete": complete, "topics": dict(sent)}))
