"""Inputs: the CSV files of a run, one or more per source, checked up front and read in chunks of lines."""

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

from traderecon.batch.reconciled import COLUMN as RECONCILED
from traderecon.intake import COLUMNS, MAX_BYTES, STANDARD_SETTINGS, HeaderError, Rows, SourceSettings, reads_plainly
from traderecon.records import Source

BOM = b"\xef\xbb\xbf"
_NOT_CSV = {
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"PK\x03\x04": "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
}
"""Magic bytes of files that are not CSV text: what the file is, and what to do."""
_EXCEL_SEPARATOR_LINE = re.compile(rb"sep=.", re.IGNORECASE)


class InputError(Exception):
    """A file cannot be read as an input: which, why, and what to do."""


class Input(msgspec.Struct, frozen=True):
    """One CSV file: its source and that one's settings, its header line, the byte offset of its first data line.

    ``label``: what messages call it instead of its name.
    """

    source: Source
    path: Path
    header: str
    start: int
    size: int
    changed_at_ns: int
    label: str = ""
    settings: SourceSettings = STANDARD_SETTINGS

    @classmethod
    def open(cls, source: Source, path: Path, label: str = "", settings: SourceSettings = STANDARD_SETTINGS) -> Self:
        """Read the header of a file; InputError if it cannot be read or lacks a column."""
        name = label or path
        try:
            status = path.stat()
            if not S_ISREG(status.st_mode) and not S_ISDIR(status.st_mode):
                raise InputError(f"{name}: is not a regular file, and inputs are read more than once: give a CSV file")
            with path.open("rb") as file:
                first = file.readline(MAX_BYTES + 1)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror}): give a CSV file") from None
        if problem := _format_problem(first):
            raise InputError(f"{name}: {problem}")
        if len(first) > MAX_BYTES:
            raise InputError(f"{name}: its first line is longer than {MAX_BYTES} bytes: it must name the columns")
        if not first.strip():
            raise InputError(f"{name}: is empty: its first line must name the columns")
        header = first.removeprefix(BOM).decode(errors="replace").rstrip("\r\n")
        try:
            Rows(source, header, settings)
        except HeaderError as error:
            raise InputError(f"{name}: {error}") from None
        return cls(source, path, header, len(first), status.st_size, status.st_mtime_ns, label, settings)

    def require_unchanged(self) -> None:
        """InputError if the file was changed since it was opened: a mixture of old and new may have been read."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise InputError(f"{self.path}: disappeared while it was read ({error.strerror}): run again") from None
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed_at_ns):
            raise InputError(f"{self.path}: changed while it was read: run again when it is complete")

    @property
    def name(self) -> str:
        """The label, or the file's name as text."""
        return self.label or printable_path(self.path.name)

    @property
    def unknown_columns(self) -> tuple[str, ...]:
        """The names of the unknown columns."""
        return tuple(name for name in self.rows().unknown if name and name != RECONCILED)

    @property
    def plain(self) -> bool:
        """Whether columns and settings are the founding ones, as the vectorized rules need them."""
        return is_plain(self.rows())

    def rows(self) -> Rows:
        """The decoder of its lines."""
        return Rows(self.source, self.header, self.settings)

    def chunks(self, bytes_each: int) -> list["Chunk"]:
        """The data lines of the file, in chunks of about this many bytes, split at line breaks."""
        cuts = [self.start]
        with self.path.open("rb") as file:
            while cuts[-1] < self.size:
                file.seek(min(cuts[-1] + bytes_each, self.size))
                file.readline()
                cuts.append(file.tell())
        return [Chunk(self, start, end) for start, end in pairwise(cuts)]


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive whole lines of one file, from byte ``start`` to before byte ``end``."""

    file: Input
    start: int
    end: int

    def lines(self) -> pl.DataFrame:
        """Its lines as ``line`` with their ``number`` from 0; bytes that are not UTF-8 become U+FFFD."""
        with self.file.path.open("rb") as file:
            file.seek(self.start)
            text = file.read(self.end - self.start)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if not text.isascii():
            text = text.decode(errors="replace").encode()
        return pl.read_lines(text, name="line", row_index_name="number")


def is_plain(rows: Rows) -> bool:
    """Whether these rows have the founding columns in their order, and mean what they mean in the founding profile."""
    return rows.columns == COLUMNS[rows.source] and reads_plainly(rows.settings)


def _format_problem(first: bytes) -> str | None:
    """Why the first line cannot be a CSV header, and what to do; None if it can."""
    for magic, problem in _NOT_CSV.items():
        if first.startswith(magic):
            return problem
    line = first.removeprefix(BOM).rstrip(b"\r\n")
    if b"\r" in line:
        return "has lines that end in CR only: save it with LF or CRLF line ends"
    if _EXCEL_SEPARATOR_LINE.fullmatch(line):
        return f"begins with the line {line.decode(errors='replace')}, which only Excel reads: remove that line"
    return None


def printable_path(path: str | Path) -> str:
    """A path as text, with U+FFFD for bytes that are not UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def names_of(inputs: Sequence[Input]) -> list[str]:
    """The display name of each file: its name, or its path if another file has the same name."""
    counts = Counter(file.name for file in inputs)
    return [file.name if counts[file.name] == 1 else file.label or printable_path(file.path) for file in inputs]


def sample(inputs: list[Input], positions: int = 64, lines_each: int = 16) -> Iterator[tuple[Input, str]]:
    """Whole lines from evenly spaced positions of each file: the same files give the same lines."""
    for source in inputs:
        with source.path.open("rb") as file:
            step = max((source.size - source.start) // positions, 1)
            for position in range(source.start, source.size, step):
                file.seek(position)
                file.readline()
                for line in islice(file, lines_each):
                    yield source, line.decode(errors="replace").rstrip("\r\n")
