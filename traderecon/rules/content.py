"""What rules say, rule by rule, as JSON values: so that two sets of rules can be told apart by name."""

from typing import Any

import msgspec

from traderecon.rules.rules import Rules


def content(rules: Rules) -> dict[str, Any]:
    """Everything but the checks under its own name, and each check under ``check <name>``.

    >>> from traderecon.rules import FOUNDING
    >>> content(FOUNDING)["grace_ns"], content(FOUNDING)["check ticker"]
    (60000000000, {'check': 'ticker'})
    """
    whole: dict[str, Any] = msgspec.to_builtins(rules, str_keys=True)
    checks = whole.pop("checks")
    return {**whole, **{f"check {rule.name}": one for rule, one in zip(rules.checks, checks, strict=True)}}
