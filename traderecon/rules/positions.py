"""Positions: where in a TOML text every key stands, which tomllib does not tell.

    text  ->  Positions.of  ->  path ("override", 0, "checks", "price")  ->  line and column, both from 1

The text must be valid TOML: tomllib has read it. A table of ``[[override]]``, and an element of an array, has its index
in the path.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Self

import msgspec

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a text; both count from 1, the column in characters."""

    line: int
    column: int


class Positions(msgspec.Struct, frozen=True):
    """The first position of every key, table and array element of a text."""

    known: Mapping[Path, Position]

    @classmethod
    def of(cls, text: str) -> Self:
        r"""Find every key of a valid TOML text.

        >>> Positions.of('a = 1\n[b]\nc = { d = 2 }').find(("b", "c", "d"))
        Position(line=3, column=7)
        """
        scanner = _Scanner(text.replace("\r\n", "\n"))
        scanner.scan()
        return cls({path: scanner.position(offset) for path, offset in scanner.offsets.items()})

    def find(self, path: Path) -> Position:
        """Where the path is, or else the innermost table around it; the start of the text if there is none."""
        for length in range(len(path), 0, -1):
            if (position := self.known.get(path[:length])) is not None:
                return position
        return Position(1, 1)


class _Scanner:
    """Walks once over the text, and notes the offset of each key."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._table: Path = ()
        self._sizes: dict[Path, int] = {}
        self.offsets: dict[Path, int] = {}

    def position(self, offset: int) -> Position:
        line_start = self._text.rfind("\n", 0, offset) + 1
        return Position(self._text.count("\n", 0, offset) + 1, offset - line_start + 1)

    def scan(self) -> None:
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                self._header()
            else:
                self._pair(self._table)
            self._skip(_BLANK)

    def _header(self) -> None:
        start = self._at
        of_array = self._text.startswith("[[", start)
        self._at += 2 if of_array else 1
        names = self._key()
        self._at += 2 if of_array else 1
        path: Path = ()
        for name in names[:-1]:
            path = self._last_element((*path, name))
            self.offsets.setdefault(path, start)
        path = (*path, names[-1])
        if of_array:
            self.offsets.setdefault(path, start)
            self._sizes[path] = self._sizes.get(path, 0) + 1
            path = self._last_element(path)
        self._table = path
        self.offsets.setdefault(path, start)

    def _last_element(self, path: Path) -> Path:
        """The path; of an array of tables, that of its last table so far."""
        return (*path, self._sizes[path] - 1) if path in self._sizes else path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for name in self._key():
            path = (*path, name)
            self.offsets.setdefault(path, start)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _key(self) -> list[str]:
        """The names of a dotted key; stops behind the blanks that follow it."""
        names: list[str] = []
        while True:
            self._skip(_BLANK)
            if self._text[self._at] in "\"'":
                names.append(tomllib.loads(f"name = {self._take(_STRING)}")["name"])
            else:
                names.append(self._take(_BARE_KEY))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case "{":
                self._elements("}", lambda index: self._pair(path))
            case "[":
                self._elements("]", lambda index: self._element((*path, index)))
            case "'" | '"':
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _elements(self, end: str, read: Callable[[int], None]) -> None:
        """Read what is between the brackets, one after another; a comma may follow the last one."""
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == end:
                self._at += 1
                return
            read(index)
            index += 1
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1

    def _element(self, path: Path) -> None:
        self.offsets[path] = self._at
        self._value(path)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        """The text here that fits the pattern, as it must in valid TOML; continues behind it."""
        (text,) = (match[0] for match in [pattern.match(self._text, self._at)] if match is not None)
        self._at += len(text)
        return text
