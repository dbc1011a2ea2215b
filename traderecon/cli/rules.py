"""Settings and rules for a command; what cannot be used ends it."""

from collections.abc import Mapping
from pathlib import Path

from traderecon.cli.console import fail
from traderecon.exit_codes import Exit
from traderecon.rulebook import rules_in_force
from traderecon.rules import Rules
from traderecon.settings import ConfigurationError, Settings, load


def effective_settings(given: Mapping[str, str] | None = None) -> Settings:
    """The settings, see ``load``; ends the command, 78, when they cannot be used."""
    try:
        return load(given)
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


def effective_rules() -> tuple[Rules, Path | None]:
    """The rules and their file; ends the command, 78, when they cannot be used."""
    settings = effective_settings()
    try:
        return rules_in_force(settings), settings.rules
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
