"""Inputs: the CSV files of a run, one or several of a source: checked before anything is read, in chunks of lines."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Self

import msgspec
import polars as pl

from traderecon.intake import COLUMNS, MAX_BYTES, HeaderError, Rows
from traderecon.records import Source

BOM = b"\xef\xbb\xbf"
_NO_TEXT = {
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"PK\x03\x04": "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
}
"""What a file is that begins so, and what to do."""
_EXCELS_OWN = re.compile(rb"sep=.", re.IGNORECASE)


class InputError(Exception):
    """A file that cannot be reconciled at all: which, why, and what to do."""


class Input(msgspec.Struct, frozen=True):
    """One CSV file: its source, its header line, and where its first data line begins (bytes).

    ``label`` is what to call it where its name means nothing to anybody.
    """

    source: Source
    path: Path
    header: str
    start: int
    size: int
    changed_at_ns: int
    label: str = ""

    @classmethod
    def open(cls, source: Source, path: Path, label: str = "") -> Self:
        """Look at a file's header; InputError when it cannot be read or lacks a column."""
        where = label or path
        try:
            status = path.stat()
            if not S_ISREG(status.st_mode) and not S_ISDIR(status.st_mode):
                raise InputError(
                    f"{where}: cannot be read (it is read more than once, and is no file): name a CSV file"
                )
            with path.open("rb") as file:
                first = file.readline(MAX_BYTES + 1)
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({error.strerror}): name a CSV file") from None
        if wrong := _other_form(first):
            raise InputError(f"{where}: {wrong}")
        if len(first) > MAX_BYTES:
            raise InputError(f"{where}: its first line is longer than {MAX_BYTES} bytes: it must name the columns")
        if not first.strip():
            raise InputError(f"{where}: is empty: its first line must name the columns")
        header = first.removeprefix(BOM).decode(errors="replace").rstrip("\r\n")
        try:
            Rows(source, header)
        except HeaderError as error:
            raise InputError(f"{where}: {error}") from None
        return cls(source, path, header, len(first), status.st_size, status.st_mtime_ns, label)

    def require_unchanged(self) -> None:
        """InputError when somebody wrote the file since it was opened: what was read may be neither old nor new."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise InputError(f"{self.path}: went away while it was read ({error.strerror}): run again") from None
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed_at_ns):
            raise InputError(f"{self.path}: changed while it was read: run again when it is complete")

    @property
    def name(self) -> str:
        """The file's name as text; what is no text in it as U+FFFD."""
        return self.label or as_text(self.path.name)

    @property
    def unread(self) -> tuple[str, ...]:
        """The columns that are not ours, by their names."""
        return tuple(name for name in Rows(self.source, self.header).unknown if name)

    @property
    def plain(self) -> bool:
        """Whether the columns are the founding ones, in their order: what the screen can read."""
        return Rows(self.source, self.header).columns == COLUMNS[self.source]

    def chunks(self, bytes_each: int) -> list["Chunk"]:
        """The data lines of the file, in pieces of about so many bytes, cut at line breaks."""
        cuts = [self.start]
        with self.path.open("rb") as file:
            while cuts[-1] < self.size:
                file.seek(min(cuts[-1] + bytes_each, self.size))
                file.readline()
                cuts.append(file.tell())
        return [Chunk(self, start, end) for start, end in pairwise(cuts)]


class Chunk(msgspec.Struct, frozen=True):
    """A run of whole lines of one file, from byte ``start`` to before byte ``end``."""

    file: Input
    start: int
    end: int

    def lines(self) -> pl.DataFrame:
        """Its lines as ``line`` and their ``number``, from 0; a byte that is no UTF-8 becomes U+FFFD."""
        with self.file.path.open("rb") as file:
            file.seek(self.start)
            text = file.read(self.end - self.start)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if not text.isascii():
            text = text.decode(errors="replace").encode()
        return pl.read_lines(text, name="line", row_index_name="number")


def _other_form(first: bytes) -> str | None:
    """What a file is by its first line, and what to do, where no reader of CSV could tell its columns."""
    for beginning, wrong in _NO_TEXT.items():
        if first.startswith(beginning):
            return wrong
    line = first.removeprefix(BOM).rstrip(b"\r\n")
    if b"\r" in line:
        return "has lines that end in CR only: save it with line ends LF or CRLF"
    if _EXCELS_OWN.fullmatch(line):
        return f"begins with the line {line.decode(errors='replace')}, which only Excel reads: remove that line"
    return None


def as_text(path: str | Path) -> str:
    """A path as text; what is no text in it as U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def names_of(inputs: Sequence[Input]) -> list[str]:
    """What each file is called: by its name, or by its path where another one has the same name."""
    times = Counter(file.name for file in inputs)
    return [file.name if times[file.name] == 1 else file.label or as_text(file.path) for file in inputs]


def sample(inputs: list[Input], places: int = 64, lines_each: int = 16) -> Iterator[tuple[Input, str]]:
    """Whole lines from all over the files: evenly spaced, so the same files give the same lines."""
    for source in inputs:
        with source.path.open("rb") as file:
            step = max((source.size - source.start) // places, 1)
            for position in range(source.start, source.size, step):
                file.seek(position)
                file.readline()
                for line in islice(file, lines_each):
                    yield source, line.decode(errors="replace").rstrip("\r\n")
