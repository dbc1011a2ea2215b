"""Settings and rules for a command; invalid ones end it."""

from collections.abc import Mapping
from pathlib import Path

from traderecon.cli.console import fail
from traderecon.exit_codes import Exit
from traderecon.intake import SettingsBySource
from traderecon.rulebook import rules_in_force
from traderecon.rules import Rules
from traderecon.rules.file import RulesError
from traderecon.settings import ConfigurationError, Settings, load, override
from traderecon.sourcebook import parse_file, sources_in_force


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


def rules_of_file(file: Path) -> tuple[Rules, SettingsBySource]:
    """The rules in a file, and the settings of its sources; ends the command with 3 and every error of it."""
    try:
        return parse_file(read_file(file))
    except RulesError as error:
        fail(Exit.INPUT, "\n".join(error.lines(str(file))))


def read_file(file: Path) -> str:
    """The text of a file; ends the command with 3 if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        fail(Exit.INPUT, f"{file}: {error}: save it as UTF-8 text")
    except OSError as error:
        fail(Exit.INPUT, f"{file}: cannot be read ({error.strerror})")
