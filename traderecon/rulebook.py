"""The effective rules: from the file in TRADERECON_RULES or the founding ones, with the grace from the settings.

All workers of the matching group must have the same rules, or the verdict on a trade would depend on the worker.
"""

import msgspec

from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import RulesError, parse_rules
from traderecon.settings import ConfigurationError, Settings
from traderecon.transport.agreement import Agreement

CHANGE_RULES = (
    "To change the rules, stop every matching worker, then start all of them with the same TRADERECON_RULES, "
    "TRADERECON_GRACE_SECONDS and TRADERECON_RETENTION_DAYS."
)


def rules_in_force(settings: Settings) -> Rules:
    """The effective rules; ConfigurationError names the file and the error in it."""
    try:
        rules = parse_rules(settings.rules.read_text(encoding="utf-8")) if settings.rules else FOUNDING
    except (RulesError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{settings.rules}: {error}") from None
    except OSError as error:
        raise ConfigurationError(
            f"{settings.rules}: cannot be read ({error.strerror}): correct TRADERECON_RULES"
        ) from None
    if "grace_seconds" not in settings.model_fields_set:
        return rules
    return msgspec.structs.replace(rules, grace_ns=settings.grace_seconds * NS_PER_S)


def matching_agreement(settings: Settings, rules: Rules) -> Agreement:
    """What all matching workers must agree on: the rules' sha256, and the retention, which closes trades."""
    return Agreement("rules", f"{rules.stamp().sha256}-retention-{settings.retention_days}", CHANGE_RULES)
