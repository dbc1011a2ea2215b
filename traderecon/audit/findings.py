"""A finding: one thing in the database that does not follow from the rest, and where it is."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

KEPT = 1_000
"""So many findings are kept with their texts; the rest is counted."""


class Kind(StrEnum):
    """What is wrong.

    CHANGED: a cell is not what its row says. BROKEN: a row does not follow the one before it. ORDER: a row is not
    where it was. MISSING: a row is gone. TRUNCATED: the end of a chain is gone. HEAD: ``sink_offsets`` tells of
    another chain. CHECKPOINT: a checkpoint does. DERIVED: a row that follows from the history says something else.
    DAMAGED: the file itself.
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
    """One sentence, and the row it is about as far as it is one; ``row`` is the row's ``id``."""

    kind: Kind
    text: str
    table: str = ""
    row: Any = None
    topic: Any = None
    partition: Any = None
    offset: Any = None
    trade_id: Any = None

    def __str__(self) -> str:
        """The finding for people: where, and what."""
        said = [self.table]
        if self.row is not None:
            said.append(f"row {self.row}")
        if self.topic is not None:
            said.append(f"{self.topic}[{self.partition}]" + ("" if self.offset is None else f" offset {self.offset}"))
        if self.trade_id is not None:
            said.append(f"trade {self.trade_id!r}")
        return f"{self.kind} {', '.join(part for part in said if part) or 'database'}: {self.text}"


class Findings:
    """The findings of one look, the first ``KEPT`` with their texts."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.count = 0
        self.in_rows = 0
        """Those that are not about checkpoints alone."""

    def add(self, found: Iterable[Finding]) -> None:
        """Take note of these."""
        for finding in found:
            self.count += 1
            self.in_rows += finding.kind is not Kind.CHECKPOINT
            if len(self.kept) < KEPT:
                self.kept.append(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.kept)
