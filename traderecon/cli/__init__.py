"""The ``traderecon`` command: one module per command group, loaded when it is used."""

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Any

import click

from traderecon import __version__
from traderecon.cli.console import say
from traderecon.cli.repeats import refuse_repeats
from traderecon.durable import private
from traderecon.exit_codes import Exit

_COMMANDS = {
    "audit": ("traderecon.cli.audit:audit", "Audit: the database against its chains, a trade proven."),
    "config": ("traderecon.cli.config:config", "Settings: what is in force, and where it comes from."),
    "db": ("traderecon.cli.db:db", "The database: migrations, backup, a new one."),
    "dead-letters": ("traderecon.cli.dead_letters:dead_letters", "What was rejected: look, send again, put away."),
    "demo": ("traderecon.cli.demo:demo", "Everything at once on simulated trades: pages within seconds."),
    "doctor": ("traderecon.cli.doctor:doctor", "Broker, topics, disk, clock, database: could a worker start?"),
    "ingest": ("traderecon.cli.ingest:ingest", "CSV files into the topics."),
    "reconcile": ("traderecon.cli.reconcile:reconcile", "Reconcile three CSV files: every trade's verdict, no broker."),
    "state": ("traderecon.cli.state:state", "State: what matching knows, rebuilt where it was lost."),
    "topics": ("traderecon.cli.topics:topics", "The topics: make them, look at them."),
    "torture": ("traderecon.cli.torture:torture", "For a checkout: break the pipeline by plan, judge it."),
    "watermark": ("traderecon.cli.watermark:watermark", "The log's time: look at it, decide what it is."),
    "worker": ("traderecon.cli.worker:worker", "Run the pipeline, or some of its stages, on the broker."),
    "simulate": ("traderecon.cli.simulate:simulate", "Make the three feeds, the same bytes for the same seed."),
}
_MAKES_FILES_FOR_OTHERS = {"reconcile", "simulate"}
"""Reports and feeds; what lies in a data directory, backups and evidence are nobody else's to read."""
_FAUSTS_OWN = {name: (f"traderecon.cli.faust:{name}", "") for name in ("agents", "tables")}
"""Not listed: they show the insides."""


class _Lazy(click.Group):
    """Knows every command's name and one line about it; imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in order."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        known = _COMMANDS | _FAUSTS_OWN
        if cmd_name not in known:
            return None
        if cmd_name not in _MAKES_FILES_FOR_OTHERS:
            private()
        module, _, attribute = known[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return refuse_repeats(command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of stdout who has gone ends it without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Nothing is left to say there, not even when the process ends and flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(Exit.PIPE_CLOSED) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="traderecon")
def command() -> None:
    """Trade reconciliation: what agrees, what breaks, and why."""


def main() -> None:
    """Run the command and exit with its code; what nobody expected ends with its traceback and 70."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.TERMINATED))  # an exit that cleans up
    try:
        code = command(prog_name="traderecon", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("stopped")
        code = Exit.INTERRUPTED
    except Exception:
        traceback.print_exc()
        say("this is a bug: please report it with the lines above")
        code = Exit.SOFTWARE
    sys.exit(code or Exit.OK)
