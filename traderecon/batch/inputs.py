"""Inputs: the three CSV files of a run, checked before anything is read, and read in chunks of whole lines."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Self

import msgspec
import polars as pl

from traderecon.intake import COLUMNS, MAX_BYTES, HeaderError, Rows
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
        if path.exists() and not path.is_file():
            kind = "Is a directory" if path.is_dir() else "it is read more than once, and this is no regular file"
            raise InputError(f"{path}: cannot be read ({kind}): name a CSV file")
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

    @property
    def name(self) -> str:
        """The file's name as text; what is no text in it as U+FFFD."""
        return os.fsencode(self.path.name).decode(errors="replace")

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


def sample(inputs: list[Input], blocks: int = 64, block_bytes: int = 2_048) -> Iterator[tuple[Input, str]]:
    """Whole lines from all over the files: evenly spaced, so the same files give the same lines."""
    for source in inputs:
        with source.path.open("rb") as file:
            step = max((source.size - source.start) // blocks, 1)
            for position in range(source.start, source.size, step):
                file.seek(position)
                for line in file.read(block_bytes).split(b"\n")[1:-1]:
                    yield source, line.decode(errors="replace").rstrip("\r")
