"""The ``traderecon`` command: one module per command group, imported on use."""

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
    "audit": ("traderecon.cli.audit:audit", "Verify the database against its chains, prove a trade."),
    "config": ("traderecon.cli.config:config", "Show the effective settings."),
    "db": ("traderecon.cli.db:db", "Migrate, back up, rebuild or purge the database."),
    "dead-letters": ("traderecon.cli.dead_letters:dead_letters", "List, replay or discard rejected records."),
    "demo": ("traderecon.cli.demo:demo", "Run the whole pipeline on simulated trades."),
    "doctor": ("traderecon.cli.doctor:doctor", "Check whether a worker could start here."),
    "ingest": ("traderecon.cli.ingest:ingest", "Send CSV files to the topics."),
    "reconcile": ("traderecon.cli.reconcile:reconcile", "Reconcile CSV files, without a broker."),
    "rules": ("traderecon.cli.rules_commands:rules", "Check a rules file, show the rules in force."),
    "state": ("traderecon.cli.state:state", "Rebuild the state of matching."),
    "topics": ("traderecon.cli.topics:topics", "Create and check the topics of the pipeline."),
    "torture": ("traderecon.cli.torture:torture", "Run fault-injection tests, from a source checkout."),
    "watermark": ("traderecon.cli.watermark:watermark", "Show or reset the watermark."),
    "worker": ("traderecon.cli.worker:worker", "Run the pipeline, or some of its stages."),
    "simulate": ("traderecon.cli.simulate:simulate", "Generate the three feeds, reproducible by seed."),
}
_WRITES_SHARED_FILES = {"reconcile", "simulate"}
"""Reports and feeds are for other users, too; data directories, backups and evidence are not."""
_FAUST_COMMANDS = {name: (f"traderecon.cli.faust:{name}", "") for name in ("agents", "tables")}
"""Not listed: they show internals."""


class _LazyGroup(click.Group):
    """Lists every command with a line of help; imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in order."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        commands = _COMMANDS | _FAUST_COMMANDS
        if cmd_name not in commands:
            return None
        if cmd_name not in _WRITES_SHARED_FILES:
            private()
        module, _, attribute = commands[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return refuse_repeats(command)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed stdout ends it silently."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Otherwise the flush at exit would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(Exit.PIPE_CLOSED) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="traderecon")
def command() -> None:
    """Trade reconciliation: which trades match, which break, and why."""


def main() -> None:
    """Run the command and exit with its code; an unexpected exception prints its traceback and exits with 70."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.TERMINATED))  # SystemExit runs the cleanup
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
