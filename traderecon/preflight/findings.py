"""Findings: what one check of the preflight found, and what to do about it."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from traderecon.exit_codes import Exit


class Level(StrEnum):
    """WARN: a worker can start, and an operator should look; FAIL: no worker may start."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """What one check found and what to do; ``unreachable``: a service does not answer."""

    check: str
    level: Level
    text: str
    todo: str = ""
    unreachable: bool = False

    def __str__(self) -> str:
        """The finding as one line of text."""
        return f"{self.check}: {self.text}" + (f" -> {self.todo}" if self.todo else "")


def ok(check: str, text: str) -> Finding:
    """A passed check."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, todo: str) -> Finding:
    """A worker can start, and an operator should look."""
    return Finding(check, Level.WARN, text, todo)


def bad(check: str, text: str, todo: str = "", *, unreachable: bool = False) -> Finding:
    """No worker may start. ``todo``: empty if the text is an error's, which says what to do."""
    return Finding(check, Level.FAIL, text, todo, unreachable)


def exit_code(findings: Iterable[Finding]) -> int:
    """4 if a service does not answer, else 78 if a check failed, else 0. Source: CONTRACT.md."""
    failed = [finding for finding in findings if finding.level is Level.FAIL]
    if any(finding.unreachable for finding in failed):
        return Exit.UNREACHABLE
    return Exit.CONFIG if failed else Exit.OK
