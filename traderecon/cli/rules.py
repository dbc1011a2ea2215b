"""Which rules are in force: the file that TRADERECON_RULES names, or the founding ones."""

from pathlib import Path

import msgspec

from traderecon.cli.talk import Exit, fail
from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import RulesError, parse_rules
from traderecon.settings import ConfigurationError, load


def effective_rules() -> tuple[Rules, Path | None]:
    """The rules with the grace the settings ask for, and their file; ends the command when they cannot be used."""
    try:
        settings = load()
        rules = parse_rules(settings.rules.read_text(encoding="utf-8")) if settings.rules else FOUNDING
    except ConfigurationError as error:
        fail(Exit.REFUSED, str(error))
    except (RulesError, UnicodeDecodeError) as error:
        fail(Exit.REFUSED, f"{settings.rules}: {error}")
    except OSError as error:
        fail(Exit.REFUSED, f"{settings.rules}: cannot be read ({error.strerror}); TRADERECON_RULES names it")
    if "grace_seconds" not in settings.model_fields_set:
        return rules, settings.rules
    return msgspec.structs.replace(rules, grace_ns=settings.grace_seconds * NS_PER_S), settings.rules
