"""Queries on the rules that were in force: their text by their sha256, and since when."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from traderecon.records.action import RulesChange, decode_action
from traderecon.sink.schema import rules_changes


class RecordedRules(msgspec.Struct, frozen=True):
    """One set of rules: the whole rules as JSON values, and the journal offsets from which they were in force.

    ``rules`` is None if only versions that wrote no text recorded them.
    """

    sha256: str
    rules: Mapping[str, Any] | None
    since: tuple[tuple[int, int, str], ...]
    """Partition, offset, when the record was written (ISO 8601)."""


def recorded_rules(engine: Engine, prefix: str) -> list[RecordedRules]:
    """The rules on record whose sha256 begins with these hexadecimal digits."""
    columns = rules_changes.c
    statement = (
        select(columns.after_sha256, columns.journal_partition, columns.journal_offset, columns.at, columns.action)
        .where(columns.after_sha256.startswith(prefix, autoescape=True))
        .order_by(columns.id)
    )
    since: dict[str, list[tuple[int, int, str]]] = {}
    texts: dict[str, Mapping[str, Any]] = {}
    with engine.connect() as connection:
        for sha256, partition, offset, at, value in connection.execute(statement):
            since.setdefault(sha256, []).append((partition, offset, at))
            change = decode_action(value.encode(), (RulesChange,)) if sha256 not in texts else None
            if isinstance(change, RulesChange) and change.rules:
                texts[sha256] = change.rules
    return [RecordedRules(sha256, texts.get(sha256), tuple(places)) for sha256, places in since.items()]


def newest_rules(engine: Engine) -> Mapping[str, Any] | None:
    """The rules recorded last, whole, as JSON values; None if there are none on record, or not their text."""
    newest = select(rules_changes.c.action).order_by(rules_changes.c.id.desc()).limit(1)
    with engine.connect() as connection:
        value = connection.execute(newest).scalar()
    change = None if value is None else decode_action(value.encode(), (RulesChange,))
    return change.rules or None if isinstance(change, RulesChange) else None
