"""Heading: what a report says of the run itself, and cannot read off its summary."""

import msgspec

from traderecon.records import Source


class InputFile(msgspec.Struct, frozen=True, gc=False):
    """One file that was read: its feed, its name, its data lines, and the sha256 of its bytes if known."""

    source: Source
    name: str
    rows: int
    sha256: str | None = None


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """The title, UTC nanoseconds of making, the software's version, and the files.

    ``output`` and ``rejects`` say where all results and all rejected rows lie; None where they were not kept in a file.
    """

    title: str
    generated_at_ns: int
    version: str
    inputs: tuple[InputFile, ...]
    output: str | None = None
    rejects: str | None = None
