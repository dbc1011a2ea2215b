"""Split: lines of all three files -> parts by range of trade_id, on disk.

A part holds every line of its trades, so it can be judged by itself; parts in order are trades in order, so their
outputs are simply put one behind the other. Memory is bounded by a chunk and a part, whatever the files' size.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from traderecon.batch.inputs import Chunk, Input, sample
from traderecon.intake import Rows
from traderecon.intake.refusal import Refusal
from traderecon.intake.rows import cells_of
from traderecon.records import Source

CHUNK_BYTES = 16 * 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
MAX_PARTS = 512

_NUMBER_BYTES = array("L").itemsize


class Slice(msgspec.Struct, frozen=True, gc=False):
    """Where one part's lines lie in a spill file: byte offset, how many lines, bytes of text behind their numbers."""

    offset: int
    lines: int
    text_bytes: int


class Spill(msgspec.Struct, frozen=True):
    """One chunk, sorted by part: per part the numbers of its lines in their file, then the lines."""

    source: Source
    path: Path
    slices: dict[int, Slice]

    def bytes_of(self, part: int) -> int:
        """How much text one part has in this chunk."""
        return self.slices[part].text_bytes + self.slices[part].lines if part in self.slices else 0

    def read(self, part: int) -> tuple["array[int]", list[str]]:
        """The numbers of the lines of one part in their file, and the lines."""
        place = self.slices.get(part)
        if place is None:
            return array("L"), []
        numbers = array("L")
        with self.path.open("rb") as file:
            file.seek(place.offset)
            numbers.frombytes(file.read(place.lines * _NUMBER_BYTES))
            lines = file.read(place.text_bytes).decode(errors="surrogateescape").split("\n")
        return numbers, lines


def boundaries(inputs: list[Input]) -> list[str]:
    """The first trade_id of every part but the first: quantiles of a sample of the trades on both sides."""
    total = sum(file.size for file in inputs)
    parts = min(max(total // PART_BYTES, 1), MAX_PARTS)
    if parts == 1:
        return []
    keys = {file.source: key_reader(Rows(file.source, file.header)) for file in inputs}
    seen = sorted({keys[file.source](line) for file, line in sample(inputs)})
    return sorted({seen[len(seen) * part // parts] for part in range(1, parts)}) if seen else []


def split(chunk: Chunk, bounds: list[str], path: Path) -> Spill:
    """Write the lines of a chunk to ``path``, sorted by part; blank lines are no lines."""
    rows = Rows(chunk.file.source, chunk.file.header)
    text = chunk.text()
    lines = text.split("\n")
    keys: Iterable[str] = map(key_reader(rows), lines)
    if rows.columns[0] == "trade_id" and '"' not in text:  # the same, for the common file
        keys = (line.partition(",")[0].strip(" ") for line in lines)
    numbers = [array("L") for _ in range(len(bounds) + 1)]
    parts: list[list[str]] = [[] for _ in numbers]
    for number, (line, key) in enumerate(zip(lines, keys, strict=True), chunk.first_line):
        if line:
            part = bisect_right(bounds, key)
            numbers[part].append(number)
            parts[part].append(line)
    slices = {}
    with path.open("wb") as file:
        for part, held in enumerate(parts):
            if held:
                encoded = "\n".join(held).encode(errors="surrogateescape")
                slices[part] = Slice(file.tell(), len(held), len(encoded))
                file.write(numbers[part].tobytes())
                file.write(encoded)
    return Spill(chunk.file.source, path, slices)


def key_reader(rows: Rows) -> Callable[[str], str]:
    """How to find the trade_id of a line as decoding will see it; empty where the line cannot be read."""
    column = rows.columns.index("trade_id")

    def key_of(line: str) -> str:
        if '"' not in line:
            return line.split(",", column + 1)[column].strip(" ") if line.count(",") >= column else ""
        try:
            cells = cells_of(line)
        except Refusal:
            return ""
        return cells[column].strip(" ") if column < len(cells) else ""

    return key_of
