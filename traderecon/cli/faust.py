"""Faust's own commands on one of our apps: ``traderecon tables``, ``traderecon agents --role intake``."""

import click

from traderecon.worker.roles import ROLES


def passed_on(name: str) -> click.Command:
    """A command of Faust's, with its own options behind it."""

    @click.command(
        name,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        help=f"Faust's command of this name. `traderecon {name} --help` has its options.",
    )
    @click.option("--role", type=click.Choice(ROLES[:2]), default="matching", show_default=True)
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(role: str, words: tuple[str, ...]) -> None:
        from faust.cli.faust import cli

        cli(["-A", f"traderecon.app:{role}", name, *words], prog_name="traderecon")

    return command


agents, tables = passed_on("agents"), passed_on("tables")
