"""In force: the rules of one trade, after the overrides that apply to it.

    rules, execution, confirmation  ->  rules_of  ->  Rules without overrides, the override behind each check

The value to select on is the execution's, else the confirmation's. If the sides, or one of them, contradict each other
about it, no override that asks for it applies, and the check of the field says what differs. Different tickers of one
asset class do not contradict each other about the class.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from traderecon.matching.sides import Contested
from traderecon.records import Check, Confirmation, Execution, Outcome, Source
from traderecon.rules import LEG_FIELDS, Override, Rules


class InForce(NamedTuple):
    """The rules of a trade, and which override each changed check comes from."""

    rules: Rules
    overrides: Mapping[str, Override]


def rules_of(rules: Rules, execution: Execution, confirmation: Confirmation, contested: Contested) -> InForce:
    """The rules for these effective legs; an override's beginning is compared with the trade's own time."""
    if not rules.overrides:
        return InForce(rules, {})
    values: dict[str, str] = {}
    for selector, field in LEG_FIELDS.items():
        ours, theirs = rules.selected_value(selector, execution), rules.selected_value(selector, confirmation)
        value = theirs if ours is None else ours
        if value is not None and theirs in (value, None) and not _is_contested(field, contested):
            values[selector] = value
    event_time_ns = execution.timestamp_ns
    if event_time_ns is None and not _is_contested("timestamp_ns", contested):
        event_time_ns = confirmation.timestamp_ns
    found = rules.selection.find(values, event_time_ns)
    return InForce(rules.overridden(found), found)


def with_overrides(checks: tuple[Check, ...], overrides: Mapping[str, Override]) -> tuple[Check, ...]:
    """The checks; the note of each that compared something under an override names it."""
    return tuple(
        [
            check
            if (override := overrides.get(check.name)) is None or check.outcome is Outcome.NOT_CHECKED
            else msgspec.structs.replace(check, note=_note(check.note, override))
            for check in checks
        ]
    )


def _note(note: str, override: Override) -> str:
    named = f"override for {override.describe()}"
    return f"{note}; {named}" if note else named


def _is_contested(field: str, contested: Contested) -> bool:
    return (Source.EXECUTIONS, field) in contested or (Source.CONFIRMATIONS, field) in contested
