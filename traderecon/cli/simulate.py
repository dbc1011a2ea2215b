"""``traderecon simulate``: generate three feeds with known faults, on the broker or as CSV files."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

from traderecon.cli.console import counted, fail, progress, say
from traderecon.cli.rules import effective_settings
from traderecon.exit_codes import Exit
from traderecon.simulator import PROFILES, Message, Profile, feed, messages, pace, write_csv

_STRIDE = 1_000
_LONG_TRADES = 20_000


@click.command(
    epilog="Profiles: " + "; ".join(f"{profile.name} ({profile.about})" for profile in PROFILES.values()) + "."
)
@click.option("--trades", type=click.IntRange(min=1), default=1000, show_default=True, help="Number of trades.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True, help="Seed of the simulated trades."
)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="typical",
    show_default=True,
    help="Kinds and rates of faults.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="R",
    help="Trades per second. Default: as fast as possible.",
)
@click.option(
    "--csv",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write CSV files to this directory instead, replacing existing ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the number of messages or rows, as one line of JSON.")
def simulate(
    *, trades: int, seed: int, profile: str, rate: float | None, directory: Path | None, as_json: bool
) -> None:
    """Send the three feeds to the broker, or write executions.csv, broker_confirmations.csv and pnl_snapshot.csv.

    The same arguments give the same bytes, on every machine. Trade i depends on the seed, the profile and i alone.
    """
    arguments = {"trades": trades, "seed": seed, "profile": profile}
    if directory is None:
        _send(trades, seed, PROFILES[profile], rate, arguments, as_json=as_json)
        return
    if rate is not None:
        raise click.UsageError("--rate cannot be used with --csv: files are always written as fast as possible")
    rows = _write(trades, seed, PROFILES[profile], directory)
    if as_json:
        click.echo(json.dumps({**arguments, "files": {path.name: count for path, count in rows.items()}}))
        return
    for path, count in rows.items():
        say(f"{path}: {counted(count, 'row')}")


def _write(trades: int, seed: int, profile: Profile, directory: Path) -> Mapping[Path, int]:
    try:
        with progress(trades, "trades") as advance:
            return write_csv(_with_progress(feed(seed, trades, profile), advance), profile, directory)
    except OSError as error:
        fail(
            Exit.USAGE,
            f"cannot write the files to {str(directory)!r}: {error.strerror or error}; "
            "give --csv a writable directory on a disk with free space",
        )


def _with_progress(messages: Iterable[Message], advance: Callable[[int], None]) -> Iterator[Message]:
    """Pass the messages on, and report progress every ``_STRIDE`` positions."""
    reported = 0
    for message in messages:
        if message.position >= reported + _STRIDE:
            advance(_STRIDE)
            reported += _STRIDE
        yield message


def _send(
    trades: int, seed: int, profile: Profile, rate: float | None, arguments: Mapping[str, object], *, as_json: bool
) -> None:
    """Send the day, and print what the broker has acknowledged, also after an error."""
    # These import Faust, which files do not need.
    from traderecon.cli.broker import input_partitions, log_name, run
    from traderecon.client.connection import connected
    from traderecon.client.outbox import Outbox
    from traderecon.topics import topics
    from traderecon.transport.microbatch import Outgoing

    settings = effective_settings()
    topic_of = {source: topic for topic, source in topics(settings.topic_prefix).inputs.items()}
    sent: Counter[str] = Counter(dict.fromkeys(topic_of.values(), 0))
    say(f"sending to {log_name(settings)}")

    async def send(advance: Callable[[int], None]) -> None:
        async with connected(settings) as client:
            partitions = await input_partitions(client, settings)
            outbox = Outbox(client, sent)
            reported = 0
            async for due in pace(messages(seed, trades, profile), rate):
                for message in due:
                    topic = topic_of[message.source]
                    outbox.put(topic, message.partition(partitions[topic]), Outgoing(message.key, message.value))
                await outbox.flush()
                advance(due[-1].position - reported)
                reported = due[-1].position

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
            click.echo(json.dumps({**arguments, "complete": complete, "topics": dict(sent)}))
