"""The ``traderecon`` command: one module per command group, loaded when it is used."""

import sys
import traceback
from importlib import import_module

import click

from traderecon import __version__
from traderecon.cli.talk import Exit, say

_COMMANDS = {
    "config": ("traderecon.cli.config:config", "Settings: what is in force, and where it comes from."),
    "reconcile": ("traderecon.cli.reconcile:reconcile", "Reconcile three CSV files: every trade's verdict, no broker."),
    "simulate": ("traderecon.cli.simulate:simulate", "Make the three feeds, the same bytes for the same seed."),
}


class _Lazy(click.Group):
    """Knows every command's name and one line about it; imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in order."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="traderecon")
def command() -> None:
    """Trade reconciliation: what agrees, what breaks, and why."""


def main() -> None:
    """Run the command; what nobody expected ends with its traceback and exit code 70."""
    try:
        command(prog_name="traderecon")
    except Exception:
        traceback.print_exc()
        say("this is a bug: please report it with the lines above")
        sys.exit(Exit.BUG)
