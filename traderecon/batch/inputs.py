"""Inputs: the three CSV files of a run, checked before anything is read, and read in chunks of whole lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import polars as pl

from traderecon.intake import MAX_BYTES, HeaderError, Rows
from traderecon.records import Source

BOM = b"\xef\xbb\xbf"


class InputError(Exception):
    """A file that cannot be reconciled at all: which, why, and what to do."""


class Input(msgspec.Struct, frozen=True):
    """One CSV file: its source, its header line, and where its first data line begins (bytes)."""

    source: Source
    path: Path
    header: str
    start: int
    size: int

    @classmethod
    def open(cls, source: Source, path: Path) -> Self:
        """Look at a file's header; InputError when it cannot be read or lacks a column."""
        try:
            with path.open("rb") as file:
                first = file.readline(MAX_BYTES + 1)
                size = file.seek(0, 2)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}): name a CSV file") from None
        if not first.strip():
            raise InputError(f"{path}: is empty: its first line must name the columns")
        header = first.removeprefix(BOM).decode(errors="replace").rstrip("\r\n")
        try:
            Rows(source, header)
        except HeaderError as error:
            raise InputError(f"{path}: {error}") from None
        return cls(source, path, header, len(first), size)

    def chunks(self, bytes_each: int) -> list["Chunk"]:
        """The data lines of the file, in pieces of about so many bytes, cut at line breaks."""
        chunks = []
        first_line = 2  # line 1 is the header
        with self.path.open("rb") as file:
            file.seek(self.start)
            while text := file.read(bytes_each):
                text += file.readline()
                chunks.append(Chunk(self, file.tell() - len(text), file.tell(), first_line))
                first_line += text.count(b"\n")
        return chunks


class Chunk(msgspec.Struct, frozen=True):
    """A run of whole lines of one file, from byte ``start`` to before byte ``end``, and the first one's number."""

    file: Input
    start: int
    end: int
    first_line: int

    def lines(self) -> pl.DataFrame:
        """Its lines as ``line`` and their ``number`` in the file; a byte that is no UTF-8 becomes U+FFFD."""
        with self.file.path.open("rb") as file:
            file.seek(self.start)
            text = file.read(self.end - self.start).replace(b"\r\n", b"\n")
        try:
            text.decode()
        except UnicodeDecodeError:
            text = text.decode(errors="replace").encode()
        return pl.read_lines(text, name="line", row_index_name="number", row_index_offset=self.first_line)


def sample(inputs: list[Input], blocks: int = 64, block_bytes: int = 2_048) -> Iterator[tuple[Input, str]]:
    """Whole lines from all over the files: evenly spaced, so the same files give the same lines."""
    for source in inputs:
        with source.path.open("rb") as file:
            step = max((source.size - source.start) // blocks, 1)
            for position in range(source.start, source.size, step):
                file.seek(position)
                for line in file.read(block_bytes).split(b"\n")[1:-1]:
                    yield source, line.decode(errors="replace").rstrip("\r")
