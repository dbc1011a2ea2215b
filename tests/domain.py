"""docs/DOMAIN.md as data: the tables of a section, the ids and the codes in them.

tables("5.2") -> [[{"id": "BP1", "execution": "190.50", ...}, ...], ...]
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"

Row = dict[str, str]

ID = re.compile(r"(?<!\w)(?:B[PTN]|[A-G])\d+")
_RANGE = re.compile(r"\b([A-Z]+)(\d+)-\1(\d+)\b")
_CODE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")


@cache
def tables(section: str, document: Path = DOCS / "DOMAIN.md") -> list[list[Row]]:
    """The tables below one numbered heading, row by row, cells by the names of their columns."""
    text = document.read_text(encoding="utf-8")
    body = re.split(rf"^#+ {re.escape(section)}\b.*$", text, flags=re.MULTILINE)[1]
    return list(tables_in(re.split(r"^#", body, flags=re.MULTILINE)[0]))


def tables_in(text: str) -> Iterator[list[Row]]:
    """Every Markdown table of a text."""
    for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        header, _, *lines = [[cell.strip() for cell in line.strip("|").split(" |")] for line in block.splitlines()]
        yield [dict(zip(header, line, strict=False)) for line in lines]


def spelled_out(text: str) -> list[str]:
    """The ids in a text, ranges included.

    >>> spelled_out("B01-B03, C18")
    ['B01', 'B02', 'B03', 'C18']
    """

    def every(match: re.Match[str]) -> str:
        letters, first, last = match.groups()
        return " ".join(f"{letters}{n:0{len(first)}d}" for n in range(int(first), int(last) + 1))

    return ID.findall(_RANGE.sub(every, text))


def codes(text: str, among: Iterable[str]) -> list[str]:
    """The words of a text that are codes of one enumeration, in the order of the text.

    >>> codes("MISMATCHED `PRICE_MISMATCH`, all legs PASS", ["PASS", "PRICE_MISMATCH"])
    ['PRICE_MISMATCH', 'PASS']
    """
    known = set(among)
    return [word for word in _CODE.findall(text) if word in known]
