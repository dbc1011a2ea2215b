"""Faust's own commands for the app of one role: ``traderecon tables``, ``traderecon agents --role intake``."""

import click

from traderecon.worker.roles import ROLES


def faust_command(name: str) -> click.Command:
    """A command that passes its arguments on to Faust's command of this name."""

    @click.command(
        name,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        help=f"Faust's command of this name. `traderecon {name} --help` lists its options.",
    )
    @click.option("--role", type=click.Choice(ROLES[:2]), default="matching", show_default=True)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(role: str, arguments: tuple[str, ...]) -> None:
        from faust.cli.faust import cli

        from traderecon.cli.start import start_errors

        with start_errors():  # Faust imports the app, which starts like a worker's
            cli(["-A", f"traderecon.app:{role}", name, *arguments], prog_name="traderecon")

    return command


agents, tables = faust_command("agents"), faust_command("tables")
