"""Outputs: the rows of each part, and the parts in order, as CSV, JSON or Parquet.

Every part is written to a file of its own, and the finished parts are put together into the one that was asked for:
a temporary file beside it that takes its name when it is whole.
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

from traderecon.present.trade_row import COLUMNS, LISTS, SENT_TEXT, spreadsheet_safe
from traderecon.records.words import Word

_TAME = r"^[A-Za-z0-9][A-Za-z0-9._:/#-]*$"
"""Text that is no formula and needs no quotes."""
_NO_CODES = pl.lit([], dtype=pl.List(pl.String))
_ISO = "%Y-%m-%dT%H:%M:%S%.fZ"


class Format(Word):
    """How the results are written, by the extension of ``--out``."""

    CSV = ".csv"
    JSON = ".json"
    PARQUET = ".parquet"


def frame(rows: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    """Rows of ``table.row`` as a table of text; what is empty is null."""
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row").with_columns(
        pl.all().replace("", None)
    )


def write_part(form: Format, rows: pl.DataFrame, path: Path) -> None:
    """One part of the output: CSV without its header, JSON by lines, or Parquet.

    A CSV's text is made safe for spreadsheets. JSON and Parquet have lists of codes; Parquet has ``event_time`` as
    UTC nanoseconds.
    """
    if form is Format.CSV:
        tame = rows.select(pl.all_horizontal(pl.col(SENT_TEXT).str.contains(_TAME)).all()).item()
        if not tame:
            rows = rows.with_columns(pl.col(SENT_TEXT).map_elements(spreadsheet_safe, return_dtype=pl.String))
        rows.write_csv(path, include_header=False, quote_style="never" if tame else "necessary")
        return
    lists = rows.with_columns(pl.col(name).str.split(";").fill_null(_NO_CODES) for name in LISTS)
    if form is Format.JSON:
        lists.write_ndjson(path)
    else:
        lists.with_columns(pl.col("event_time").str.to_datetime(_ISO, time_unit="ns", time_zone="UTC")).write_parquet(
            path
        )


def put_together(form: Format, parts: Sequence[Path], out: Path | None) -> None:
    """The whole output, the parts in order; ``out`` None is stdout."""
    join = _join_json if form is Format.JSON else _join_csv
    if out is None:
        # Buffered even where stdout is not: an unbuffered write may take only a part.
        stdout = sys.stdout.buffer
        whole_writes = BufferedWriter(stdout) if isinstance(stdout, RawIOBase) else stdout
        join(parts, whole_writes)
        whole_writes.flush()
        return
    with whole(out) as temporary:
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
    """Objects by lines to one array: a line break stands nowhere else, text has it escaped."""
    between = b"["
    for part in parts:
        with part.open("rb") as source:
            for line in source:
                file.write(between + b"\n" + line.rstrip(b"\n"))
                between = b","
    file.write(b"\n]\n" if between == b"," else b"[]\n")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that becomes it when the block ends well, and is gone when it does not."""
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
