"""Split: lines of all files -> parts by range of trade_id, on disk or held in memory.

A part holds every line of its trades, so it can be judged by itself; parts in order are trades in order, so their
outputs are simply put one behind the other.
"""

from pathlib import Path

import msgspec
import polars as pl

from traderecon.batch.inputs import Chunk, Input, sample
from traderecon.intake import BLANKS, Rows
from traderecon.records import Source

CHUNK_BYTES = 32 * 1024 * 1024
PART_BYTES = 24 * 1024 * 1024
MAX_PARTS = 512


class Slice(msgspec.Struct, frozen=True, gc=False):
    """Where one part's lines lie among the sorted lines of a spill, and how many bytes of input they were."""

    first: int
    lines: int
    text_bytes: int


_NOTHING = Slice(0, 0, 0)

NO_LINES = pl.DataFrame(schema={"number": pl.UInt32, "line": pl.String, "trade_id": pl.String})


class Spill(msgspec.Struct, frozen=True):
    """One chunk, sorted by part: on disk, or held in memory where one process does it all.

    ``lines`` is how many it has, blank ones too.
    """

    source: Source
    place: Path | pl.DataFrame
    slices: dict[int, Slice]
    lines: int

    def bytes_of(self, part: int) -> int:
        """How much of the chunk one part is."""
        return self.slices.get(part, _NOTHING).text_bytes

    def read(self, part: int) -> pl.DataFrame:
        """The lines of one part: ``number`` in the chunk, from 0, ``line``, ``trade_id``."""
        rows = self.slices.get(part, _NOTHING)
        held = self.place.lazy() if isinstance(self.place, pl.DataFrame) else pl.scan_ipc(self.place, glob=False)
        return held.slice(rows.first, rows.lines).collect()


def boundaries(inputs: list[Input], part_bytes: int = PART_BYTES) -> list[str]:
    """The first trade_id of every part but the first: quantiles of a sample of the trades of all files."""
    total = sum(file.size for file in inputs)
    parts = min(max(total // part_bytes, 1), MAX_PARTS)
    if parts == 1:
        return []
    rows = {file: Rows(file.source, file.header) for file in inputs}
    seen = sorted({rows[file].key(line) for file, line in sample(inputs)})
    return sorted({seen[len(seen) * part // parts] for part in range(1, parts)}) if seen else []


def split(chunk: Chunk, bounds: list[str], path: Path | None) -> Spill:
    """Sort the lines of a chunk by part, and write them to ``path``, if given; a blank line is no line."""
    every = chunk.lines()
    lines = every.filter(pl.col("line").str.strip_chars(BLANKS) != "")
    keyed = lines.with_columns(_keys(lines["line"], Rows(chunk.file.source, chunk.file.header)).alias("trade_id"))
    part = pl.Series(bounds, dtype=pl.String).search_sorted(keyed["trade_id"], side="right")
    by_part = keyed.with_columns(part.alias("part")).sort("part", maintain_order=True)
    slices = {}
    first = 0
    size = (pl.col("line").str.len_bytes() + 1).sum()
    for number, count, text_bytes in by_part.group_by("part", maintain_order=True).agg(pl.len(), size).iter_rows():
        slices[number] = Slice(first, count, text_bytes)
        first += count
    by_part = by_part.drop("part")
    if path is not None:
        by_part.write_ipc(path)
    return Spill(chunk.file.source, path or by_part, slices, len(every))


def _keys(lines: pl.Series, rows: Rows) -> pl.Series:
    """The trade_id of every line, as decoding will see it."""
    if rows.columns[0] != "trade_id" or lines.str.contains('"', literal=True).any():
        return lines.map_elements(rows.key, return_dtype=pl.String)
    # What rows.key does, for the common file; a place in bytes is one in characters where all are ASCII.
    line = pl.col("line")
    comma = line.str.find(",", literal=True)
    first = pl.when(comma.is_null()).then(line).otherwise(line.str.head(comma))
    if (lines.str.len_bytes() != lines.str.len_chars()).any():
        first = line.str.split_exact(",", 1).struct[0]
    return lines.to_frame("line").select(first.str.strip_chars(BLANKS)).to_series()
