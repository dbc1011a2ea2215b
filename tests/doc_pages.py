"""The documents and their blocks of code."""

import re
from enum import StrEnum, auto
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "scenarios" / "README.md"])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


class Needs(StrEnum):
    """What must be there for a block of commands to run as it is on the page."""

    NOTHING = auto()
    A_WORKER = auto()
    A_KAFKA = auto()
    LOST_RECORDS = auto()
    LOST_STATE = auto()
    CREDENTIALS = auto()
    DOCKER = auto()
    ITSELF = auto()
    """The command that runs the tests, and that of the demo, which has a test of its own."""
    HOURS = auto()


_BY_TEXT = {
    "make test": Needs.ITSELF,
    "make demo": Needs.ITSELF,
    "docker compose": Needs.DOCKER,
    "KAFKA_SECURITY": Needs.CREDENTIALS,
    "TRADERECON_BROKER=": Needs.A_KAFKA,
    "state rebuild": Needs.LOST_STATE,
    "topics skip": Needs.LOST_RECORDS,
    "torture": Needs.HOURS,
    "simulation": Needs.HOURS,
}


def needs(page: Path, block: str) -> Needs:
    """Which test runs a block of ``sh``: every block has one."""
    found = (needed for text, needed in _BY_TEXT.items() if text in block)
    return next(found, Needs.A_WORKER if page.name == "audit.md" else Needs.NOTHING)


def scripts(needed: Needs) -> list[tuple[Path, str]]:
    """The blocks of ``sh`` with that need, with their pages."""
    return [(page, block) for page in PAGES for block in blocks(page, "sh") if needs(page, block) is needed]
