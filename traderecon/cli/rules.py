"""Settings and rules for a command; invalid ones end it."""

from collections.abc import Mapping
from pathlib import Path

from traderecon.cli.console import fail
from traderecon.exit_codes import Exit
from traderecon.intake import SettingsBySource
from traderecon.rulebook import rules_in_force
from traderecon.rules import Rules
from traderecon.settings import ConfigurationError, Settings, load, override
from traderecon.sourcebook import sources_in_force


def effective_settings(overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings, with these values first (see ``override``); ends the command with 78 if they are invalid."""
    override(overrides or {})
    try:
        return load()
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


def effective_sources(settings: Settings) -> SettingsBySource:
    """The settings of every source; ends the command with 78 if they are invalid."""
    try:
        return sources_in_force(settings)
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))


def effective_rules() -> tuple[Rules, Path | None]:
    """The rules and their file; ends the command with 78 if they are invalid."""
    settings = effective_settings()
    try:
        return rules_in_force(settings), settings.rules
    except ConfigurationError as error:
        fail(Exit.CONFIG, str(error))
