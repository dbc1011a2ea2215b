"""The content of rules, rule by rule, as JSON values, so that two sets of rules can be compared."""

from typing import Any

import msgspec

from traderecon.rules.rules import Rules


def as_json(rules: Rules) -> dict[str, Any]:
    """The rules whole, as JSON values; written with sorted names they have the sha256 of the rules' stamp."""
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rules))
    return members


def content(rules: Rules) -> dict[str, Any]:
    """Everything but the checks under its own name, each check under ``check <name>``, each override under its own.

    >>> from traderecon.rules import FOUNDING
    >>> content(FOUNDING)["grace_ns"], content(FOUNDING)["check ticker"]
    (60000000000, {'check': 'ticker'})
    """
    members = as_json(rules)  # a stored tuple is read as a list
    checks = [*members.pop("checks"), *members.pop("attributes")]
    overrides = members.pop("overrides", ())
    return {
        **members,
        **{f"check {rule.name}": check for rule, check in zip(rules.every, checks, strict=True)},
        **{
            f"override {override.describe()}": changes["checks"]
            for override, changes in zip(rules.overrides or (), overrides, strict=True)
        },
    }
