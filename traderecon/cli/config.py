"""``traderecon config show``: the effective settings, with secrets masked."""

import json

import click

from traderecon.cli.console import fail
from traderecon.exit_codes import Exit
from traderecon.settings import PREFIX, ConfigurationError, load


@click.group()
def config() -> None:
    """Show the effective settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(*, as_json: bool) -> None:
    """Print every setting, with passwords masked."""
    try:
        settings = load().masked()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
    if as_json:
        click.echo(json.dumps(settings))
        return
    for name, value in settings.items():
        click.echo(f"{PREFIX}{name.upper()}={'' if value is None else value}")
