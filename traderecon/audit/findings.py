"""A finding: one inconsistency in the database, and where it is."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

MOST_TEXTS = 1_000
"""Findings that are kept with their texts; the rest is only counted."""


class Kind(StrEnum):
    """What is wrong.

    CHANGED: a cell contradicts its row. BROKEN: a row does not follow the previous one. ORDER: a row is not where it
    was. MISSING: a row is gone. TRUNCATED: the end of a chain is gone. HEAD: ``sink_offsets`` contradicts the chain.
    CHECKPOINT: a checkpoint contradicts the chain. DERIVED: a derived row contradicts the history. DAMAGED: the file
    itself is damaged.
    """

    CHANGED = "CHANGED"
    BROKEN = "BROKEN"
    ORDER = "ORDER"
    MISSING = "MISSING"
    TRUNCATED = "TRUNCATED"
    HEAD = "HEAD"
    CHECKPOINT = "CHECKPOINT"
    DERIVED = "DERIVED"
    DAMAGED = "DAMAGED"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sentence, and the coordinates of the row if it is about one; ``row`` is the row's ``id``."""

    kind: Kind
    text: str
    table: str = ""
    row: Any = None
    topic: Any = None
    partition: Any = None
    offset: Any = None
    trade_id: Any = None

    def __str__(self) -> str:
        """The finding as one line: kind, where, what."""
        where = [self.table]
        if self.row is not None:
            where.append(f"row {self.row}")
        if self.topic is not None:
            where.append(f"{self.topic}[{self.partition}]" + ("" if self.offset is None else f" offset {self.offset}"))
        if self.trade_id is not None:
            where.append(f"trade {self.trade_id!r}")
        return f"{self.kind} {', '.join(part for part in where if part) or 'database'}: {self.text}"


class Findings:
    """The findings of one audit, the first ``MOST_TEXTS`` with their texts."""

    def __init__(self) -> None:
        self.with_text: list[Finding] = []
        self.count = 0
        self.in_rows = 0
        """Findings that are not about checkpoints."""

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings."""
        for finding in findings:
            self.count += 1
            self.in_rows += finding.kind is not Kind.CHECKPOINT
            if len(self.with_text) < MOST_TEXTS:
                self.with_text.append(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.with_text)
