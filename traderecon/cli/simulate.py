"""``traderecon simulate``: three feeds with known faults, as CSV files."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from traderecon.cli.talk import Exit, fail, progress, say
from traderecon.simulator import PROFILES, Message, feed, write_csv

_STRIDE = 1_000


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
    "--csv",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Where to write the files; made if missing. Files of these names are replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one line of JSON.")
def simulate(*, trades: int, seed: int, profile: str, directory: Path, as_json: bool) -> None:
    """Make executions.csv, broker_confirmations.csv and pnl_snapshot.csv.

    The same arguments give the same bytes, on every machine. Trade i depends on the seed, the profile and i alone.
    """
    chosen = PROFILES[profile]
    try:
        with progress(trades, "trades") as advance:
            messages = _watched(feed(seed, trades, chosen), advance)
            rows = write_csv(messages, chosen, directory)
    except OSError as error:
        fail(
            Exit.INPUT,
            f"cannot write the files to {str(directory)!r}: {error.strerror or error}; "
            "give --csv a directory that can be written, on a disk with room",
        )
    if as_json:
        files = {path.name: count for path, count in rows.items()}
        click.echo(json.dumps({"trades": trades, "seed": seed, "profile": profile, "files": files}))
        return
    for path, count in rows.items():
        say(f"{path}: {count:,} rows")


def _watched(messages: Iterable[Message], advance: Callable[[int], None]) -> Iterator[Message]:
    """The messages as they come; every thousand positions of virtual time are told."""
    told = 0
    for message in messages:
        if message.position >= told + _STRIDE:
            advance(_STRIDE)
            told += _STRIDE
        yield message
