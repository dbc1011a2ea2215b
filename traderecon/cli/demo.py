"""``traderecon demo``: the whole pipeline on simulated trades, with nothing to install."""

import asyncio
from pathlib import Path

import click

from traderecon.addresses import sqlite_url
from traderecon.cli.console import fail, say
from traderecon.cli.rules import effective_settings
from traderecon.exit_codes import Exit

RATE = 20.0


@click.command()
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help=f"Trades a second. Default: {RATE:g}, behind a thousand at once; with --trades as fast as it goes.",
)
@click.option("--trades", type=click.IntRange(min=1), help="So many in total, over restarts; then it ends by itself.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True, help="Another seed, another day."
)
@click.option(
    "--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop after this long."
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), help="Where the pages are. Default: 5000, or the next free one."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Log, tables, database. Default: the setting's.",
)
def demo(
    *,
    rate: float | None,
    trades: int | None,
    seed: int,
    duration: float | None,
    port: int | None,
    data_dir: Path | None,
) -> None:
    """Run the whole pipeline on simulated trades: simulator, log, matching, database, pages.

    Nothing is needed but this package: the log is a file, one process. Ctrl-C stops it; started again it goes on where
    it was. --trades ends it when every trade, one-sided ones included, is decided and stored. Of the settings, broker
    and database are not used.
    """
    asked = effective_settings({"DATA_DIR": str(data_dir)} if data_dir else {})
    database = sqlite_url(asked.data_dir / "traderecon.db")
    for name, found, ours in (
        ("BROKER", asked.broker, "embedded://"),
        ("DATABASE_URL", asked.database_url, database),
    ):
        if found != ours:
            say(f"TRADERECON_{name} is not used here: the demo has a log and a database of its own in {asked.data_dir}")
    settings = effective_settings({"BROKER": "embedded://", "DATABASE_URL": database})
    # Faust comes with them, and `--help` is quick.
    from traderecon.demo.run import Ended, OthersData, Plan, run
    from traderecon.sink.database import StoreError
    from traderecon.transport.errors import ClientError
    from traderecon.transport.log import WorkerRunning

    plan = Plan(seed, trades, rate or (None if trades else RATE), duration)
    try:
        if not asyncio.run(run(settings, plan, port, say)):
            say(f"stopped after {duration:g} s; the next start goes on from here")
    except KeyboardInterrupt:
        say("stopped; the next start goes on from here")
    except SystemExit:  # SIGTERM
        say("stopped; the next start goes on from here")
        raise
    except Ended as ended:
        fail(ended.code, str(ended))
    except OSError as error:
        what = f"{settings.data_dir}: cannot be the data directory ({error.strerror or error})"
        fail(Exit.CONFIG, f"{what}; --data-dir or TRADERECON_DATA_DIR names it")
    except StoreError as error:
        fail(error.code, str(error))
    except (WorkerRunning, ClientError, OthersData) as error:
        fail(Exit.CONFIG, str(error))
