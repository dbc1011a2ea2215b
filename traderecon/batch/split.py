"""Split: the lines of all files -> parts by range of trade_id, on disk or in memory.

A part has every line of its trades, so it can be judged by itself; the parts are in trade order, so their outputs can
simply be concatenated.
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
    """The lines of one part among the sorted lines of a spill, and their size in the input."""

    first: int
    lines: int
    text_bytes: int


_EMPTY = Slice(0, 0, 0)

NO_LINES = pl.DataFrame(schema={"number": pl.UInt32, "line": pl.String, "trade_id": pl.String})


class Spill(msgspec.Struct, frozen=True):
    """One chunk sorted by part, on disk or, with a single process, in memory.

    ``lines``: number of lines, including blank ones.
    """

    source: Source
    table: Path | pl.DataFrame
    slices: dict[int, Slice]
    lines: int

    def bytes_of(self, part: int) -> int:
        """The size of one part of the chunk."""
        return self.slices.get(part, _EMPTY).text_bytes

    def read(self, part: int) -> pl.DataFrame:
        """The lines of one part: ``number`` in the chunk from 0, ``line``, ``trade_id``."""
        rows = self.slices.get(part, _EMPTY)
        table = self.table.lazy() if isinstance(self.table, pl.DataFrame) else pl.scan_ipc(self.table, glob=False)
        return table.slice(rows.first, rows.lines).collect()


def boundaries(inputs: list[Input], part_bytes: int = PART_BYTES) -> list[str]:
    """The first trade_id of every part but the first: quantiles of a sample of the trade_ids of all files."""
    total = sum(file.size for file in inputs)
    parts = min(max(total // part_bytes, 1), MAX_PARTS)
    if parts == 1:
        return []
    rows = {id(file): file.rows() for file in inputs}
    sampled = sorted({rows[id(file)].key(line) for file, line in sample(inputs)})
    return sorted({sampled[len(sampled) * part // parts] for part in range(1, parts)}) if sampled else []


def split(chunk: Chunk, bounds: list[str], path: Path | None) -> Spill:
    """Sort the lines of a chunk by part, without blank lines, and write them to ``path`` if given."""
    all_lines = chunk.lines()
    lines = all_lines.filter(pl.col("line").str.strip_chars(BLANKS) != "")
    keyed = lines.with_columns(_keys(lines["line"], chunk.file.rows()).alias("trade_id"))
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
    return Spill(chunk.file.source, path or by_part, slices, len(all_lines))


def _keys(lines: pl.Series, rows: Rows) -> pl.Series:
    """The id that the leg of every line lies under, as the decoder reads it."""
    if rows.settings.rekeys or rows.columns[0] != "trade_id" or lines.str.contains('"', literal=True).any():
        return lines.map_elements(rows.key, return_dtype=pl.String)
    # The same as rows.key, but fast for common files; byte positions are character positions if all is ASCII.
    line = pl.col("line")
    comma = line.str.find(",", literal=True)
    first = pl.when(comma.is_null()).then(line).otherwise(line.str.head(comma))
    if (lines.str.len_bytes() != lines.str.len_chars()).any():
        first = line.str.split_exact(",", 1).struct[0]
    return lines.to_frame("line").select(first.str.strip_chars(BLANKS)).to_series()
