"""``traderecon demo``: the whole pipeline on simulated trades, with nothing else to install."""

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
    help=f"Trades per second. Default: {RATE:g}, after a thousand at once; with --trades as fast as possible.",
)
@click.option("--trades", type=click.IntRange(min=1), help="Total number of trades, across restarts; then exit.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True, help="Seed of the simulated trades."
)
@click.option(
    "--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop after this long."
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of the pages. Default: 5000, or the next free port.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for log, tables and database. Default: TRADERECON_DATA_DIR.",
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

    Needs nothing but this package: the log is a file. Ctrl-C stops it; the next start continues where it stopped. With
    --trades it exits when every trade, including one-sided ones, is decided and stored. It ignores the broker and
    database settings.
    """
    configured = effective_settings({"DATA_DIR": str(data_dir)} if data_dir else {})
    database = sqlite_url(configured.data_dir / "traderecon.db")
    for name, value, used in (
        ("BROKER", configured.broker, "embedded://"),
        ("DATABASE_URL", configured.database_url, database),
    ):
        if value != used:
            say(f"TRADERECON_{name} is ignored: the demo has its own log and database in {configured.data_dir}")
    settings = effective_settings({"BROKER": "embedded://", "DATABASE_URL": database})
    # These import Faust, which would slow down `--help`.
    from traderecon.demo.run import ForeignData, Plan, WorkerEnded, run
    from traderecon.sink.database import StoreError
    from traderecon.transport.errors import ClientError
    from traderecon.transport.log import WorkerRunning

    plan = Plan(seed, trades, rate or (None if trades else RATE), duration)
    say(f"simulated trades go to {settings.data_dir}; Ctrl-C stops the demo")
    try:
        if not asyncio.run(run(settings, plan, port, say)):
            say(f"stopped after {duration:g} s; the next start continues from here")
    except KeyboardInterrupt:
        say("stopped; the next start continues from here")
    except SystemExit:  # SIGTERM
        say("stopped; the next start continues from here")
        raise
    except WorkerEnded as ended:
        fail(ended.code, str(ended))
    except OSError as error:
        text = f"{settings.data_dir}: cannot be used as the data directory ({error.strerror or error})"
        fail(Exit.CONFIG, f"{text}: correct --data-dir or TRADERECON_DATA_DIR")
    except StoreError as error:
        fail(error.code, str(error))
    except (WorkerRunning, ClientError, ForeignData) as error:
        fail(Exit.CONFIG, str(error))
