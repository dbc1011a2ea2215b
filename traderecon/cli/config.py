"""``traderecon config show``: the effective settings, with secrets masked, and those of the sources."""

import json
from typing import Any

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
    """Print every setting, with passwords masked.

    Then what the rules file sets for a source. An invalid rules file ends the command with 78, after the settings.
    """
    sources: dict[str, dict[str, Any]] = {}
    invalid = ""
    try:
        loaded = load()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
    if loaded.rules is not None:
        from traderecon.sourcebook import differences, sources_in_force  # slow to import

        try:
            sources = differences(sources_in_force(loaded))
        except ConfigurationError as error:
            invalid = str(error)
    settings = loaded.masked()
    if as_json:
        click.echo(json.dumps({**settings, "sources": sources} if sources else settings))
    else:
        for name, value in settings.items():
            click.echo(f"{PREFIX}{name.upper()}={'' if value is None else value}")
        for source, changed in sources.items():
            for name, value in changed.items():
                click.echo(f"sources.{source}.{name}={json.dumps(value)}")
    if invalid:
        fail(Exit.CONFIG, invalid)
