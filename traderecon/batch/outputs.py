"""Outputs: the rows of each part, and the parts in order, as CSV, JSON or Parquet.

Every part is written to its own file; the finished parts are joined into a temporary file next to the output, which is
renamed when it is complete.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedWriter, RawIOBase
from pathlib import Path
from typing import BinaryIO

import polars as pl

from traderecon.present.trade_row import COLUMNS, COUNTS, LISTS, SENT_TEXT, spreadsheet_safe
from traderecon.records.words import Word

_SAFE = r"^[A-Za-z0-9][A-Za-z0-9._:/#-]*$"
"""Text that is not a formula and needs no quotes."""
_NO_CODES = pl.lit([], dtype=pl.List(pl.String))
_ISO = "%Y-%m-%dT%H:%M:%S%.fZ"


class Format(Word):
    """The format of the results, by the extension of ``--out``."""

    CSV = ".csv"
    JSON = ".json"
    PARQUET = ".parquet"


def frame(rows: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    """Rows of ``trade_row.row`` as a table of text; empty cells are null."""
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row").with_columns(
        pl.all().replace("", None)
    )


def write_part(form: Format, rows: pl.DataFrame, path: Path) -> None:
    """Write one part of the output: CSV without header, JSON lines, or Parquet.

    CSV text is made safe for spreadsheets. JSON and Parquet have lists of codes; Parquet has ``event_time`` in UTC
    nanoseconds.
    """
    if form is Format.CSV:
        safe = rows.select(pl.all_horizontal(pl.col(SENT_TEXT).str.contains(_SAFE)).all()).item()
        if not safe:
            rows = rows.with_columns(pl.col(SENT_TEXT).map_elements(spreadsheet_safe, return_dtype=pl.String))
        rows.write_csv(path, include_header=False, quote_style="never" if safe else "necessary")
        return
    lists = rows.with_columns(pl.col(name).str.split(";").fill_null(_NO_CODES) for name in LISTS).with_columns(
        pl.col(COUNTS).cast(pl.UInt8)
    )
    if form is Format.JSON:
        lists.write_ndjson(path)
    else:
        lists.with_columns(pl.col("event_time").str.to_datetime(_ISO, time_unit="ns", time_zone="UTC")).write_parquet(
            path
        )


def join_parts(form: Format, parts: Sequence[Path], out: Path | None) -> None:
    """Write the complete output, the parts in order; ``out`` None is stdout."""
    join = _join_json if form is Format.JSON else _join_csv
    if out is None:
        # Buffered even if stdout is not: an unbuffered write may be partial.
        stdout = sys.stdout.buffer
        buffered = BufferedWriter(stdout) if isinstance(stdout, RawIOBase) else stdout
        join(parts, buffered)
        buffered.flush()
        return
    with replace_when_done(out) as temporary:
        if form is Format.PARQUET:
            pl.scan_parquet(list(parts), glob=False).sink_parquet(temporary)
        else:
            with temporary.open("wb") as file:
                join(parts, file)


def _join_csv(parts: Sequence[Path], file: BinaryIO) -> None:
    file.write(",".join(COLUMNS).encode() + b"\n")
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, file, 1024 * 1024)


def _join_json(parts: Sequence[Path], file: BinaryIO) -> None:
    """Join JSON lines into one array: line breaks separate objects, because text has them escaped."""
    separator = b"["
    for part in parts:
        with part.open("rb") as source:
            for line in source:
                file.write(separator + b"\n" + line.rstrip(b"\n"))
                separator = b","
    file.write(b"\n]\n" if separator == b"," else b"[]\n")


@contextmanager
def replace_when_done(path: Path) -> Iterator[Path]:
    """A temporary file that replaces ``path`` when the block succeeds, and is removed if it fails."""
    path = Path(os.path.realpath(path))  # keep a symbolic link
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
