"""Findings: what can be wrong with a workload's topics, and where it is seen. Every judge speaks in them."""

from enum import StrEnum
from typing import NamedTuple


class Entry(NamedTuple):
    """One record as a topic has it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Defect(StrEnum):
    """What can be wrong. Any of them makes a run unsafe."""

    LOST = "LOST"
    WRONG = "WRONG"
    DOUBLED = "DOUBLED"
    CONFLICT = "CONFLICT"
    CHAIN = "CHAIN"
    STATE = "STATE"
    STORE = "STORE"
    COMMIT = "COMMIT"
    INPUT = "INPUT"
    PAGES = "PAGES"
    HYGIENE = "HYGIENE"


NOWHERE = -1


class Finding(NamedTuple):
    """One defect, and where it is seen: in a partition, at an offset; -1 where it has no such place.

    ``invariant``: which of the pipeline's is broken (docs/torture.md), I1 to I16; empty where it is none of them.
    """

    defect: Defect
    partition: int
    offset: int
    text: str
    invariant: str = ""

    @property
    def line(self) -> str:
        """The finding for people."""
        place = "" if self.partition < 0 else f" {self.partition}/{self.offset}"
        return f"{f'{self.invariant} ' if self.invariant else ''}{self.defect}{place}: {self.text}"
