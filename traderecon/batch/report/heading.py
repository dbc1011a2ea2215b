"""Heading: the properties of a run that its summary does not have."""

import msgspec

from traderecon.records import Source


class InputFile(msgspec.Struct, frozen=True, gc=False):
    """One input file: its source, name, number of data lines, and sha256 if known."""

    source: Source
    name: str
    rows: int
    sha256: str | None = None


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """The title, the time of generation (UTC nanoseconds), the software version, and the input files.

    ``output``, ``rejects``: the files with all results and all rejected rows; None if there is no such file.
    """

    title: str
    generated_at_ns: int
    version: str
    inputs: tuple[InputFile, ...]
    output: str | None = None
    rejects: str | None = None
