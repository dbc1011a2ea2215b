"""The effective rules: from the file in TRADERECON_RULES or the founding ones, with the grace from the settings.

All workers of the matching group must have the same rules, or the verdict on a trade would depend on the worker.
"""

import re

import msgspec

from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.file import RulesError, parse_rules
from traderecon.settings import ConfigurationError, Settings
from traderecon.transport.agreement import Agreement

CHANGE_RULES = (
    "To change the rules, stop every matching worker, then start all of them with the same TRADERECON_RULES, "
    "TRADERECON_GRACE_SECONDS, TRADERECON_RETENTION_DAYS, TRADERECON_SILENCE_LIMIT_SECONDS and "
    "TRADERECON_SILENCE_FLOOR_SECONDS."
)


_PROTOCOL = re.compile(r"rules-([0-9a-f]{64})-retention-(\d+)(?:-silence-(\d+)-(\d+))?")
_SHOWN = 8
"""Digits of a sha256 in a text; every result and the table ``rules_changes`` have all of them."""


def rules_in_force(settings: Settings) -> Rules:
    """The effective rules; ConfigurationError names the file and the error in it."""
    text = read_rules_file(settings)
    try:
        rules = FOUNDING if text is None else parse_rules(text)
    except RulesError as error:
        raise ConfigurationError("\n".join(error.lines(str(settings.rules)))) from None
    if "grace_seconds" not in settings.model_fields_set:
        return rules
    return msgspec.structs.replace(rules, grace_ns=settings.grace_seconds * NS_PER_S)


def read_rules_file(settings: Settings) -> str | None:
    """The text of the rules file; None without one. Raises ConfigurationError."""
    if settings.rules is None:
        return None
    try:
        return settings.rules.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{settings.rules}: {error}: save it as UTF-8 text") from None
    except OSError as error:
        raise ConfigurationError(
            f"{settings.rules}: cannot be read ({error.strerror}): correct TRADERECON_RULES"
        ) from None


def matching_agreement(settings: Settings, rules: Rules) -> Agreement:
    """What all matching workers must agree on: the rules' sha256, the retention, which closes trades, and silence."""
    known = {stamp.sha256: stamp.name for stamp in (FOUNDING.stamp(), rules.stamp())}

    def describe(protocol: str) -> str:
        if (match := _PROTOCOL.fullmatch(protocol)) is None:
            return (
                "other rules, another retention or other limits of silence"
                if not protocol
                else f"the unknown protocol {protocol!r}"
            )
        sha256, days = match[1], match[2]
        name = repr(known[sha256]) if sha256 in known else "whose name the group does not tell"
        silence = f"a silence of {match[4]} to {match[3]} s" if match[3] else "no silence"
        return f"the rules {name} (sha256 {sha256[:_SHOWN]}), {days} days of retention and {silence}"

    silence = f"{settings.silence_limit_seconds}-{settings.silence_floor_seconds}"
    value = f"{rules.stamp().sha256}-retention-{settings.retention_days}-silence-{silence}"
    return Agreement("rules", value, describe, CHANGE_RULES)
