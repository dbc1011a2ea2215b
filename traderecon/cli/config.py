"""``traderecon config show``: the effective settings, secrets masked."""

import json

import click

from traderecon.cli.console import fail
from traderecon.exit_codes import Exit
from traderecon.settings import PREFIX, ConfigurationError, load


@click.group()
def config() -> None:
    """Settings: what is in force."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(*, as_json: bool) -> None:
    """Print every setting; a password in a URL is masked."""
    try:
        shown = load().shown()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
    if as_json:
        click.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        click.echo(f"{PREFIX}{name.upper()}={'' if value is None else value}")
