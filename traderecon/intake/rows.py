"""Rows: one line of a CSV file -> Fact | Rejected. Total over all lines.

One record per line: a quoted cell may contain commas and doubled quotes, but no line break, so an unclosed quote spoils
its own line only. Blanks around a cell are not part of it, not even before a quote. The header names the columns in any
order; an unknown column is accepted, whatever is in it.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from traderecon.intake.blanks import BLANKS, trim
from traderecon.intake.decode_error import DecodeError
from traderecon.intake.legs import known_fields
from traderecon.intake.messages import MAX_BYTES
from traderecon.intake.near import near_miss
from traderecon.intake.snapshot_cancels import require_no_cancel
from traderecon.intake.source_settings import STANDARD_SETTINGS, SourceSettings
from traderecon.intake.translation import named_trade, read, trade_id_of
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source

_UNDECODED = re.compile("[\ufffd\udc80-\udcff]")
_QUOTED = re.compile(rf'([{BLANKS}]*)"([^"]*(?:""[^"]*)*)"([{BLANKS}]*)(,|\Z)')

FILE_COLUMNS = frozenset({"reconciled"})
"""What a row of a file may say beside its record: read by ``batch.reconciled``."""


class HeaderError(ValueError):
    """The header lacks a column, repeats one or misspells one; the message names it."""


class Rows:
    """Reads the lines of one source under one header.

    >>> rows = Rows(Source.PNL, "trade_id,commission,pnl_impact")
    >>> rows.decode("T1,0.5,95.00", Origin("pnl_snapshot.csv", 0, 2)).leg.pnl_impact
    Decimal('95')
    """

    def __init__(self, source: Source, header: str, settings: SourceSettings = STANDARD_SETTINGS) -> None:
        self.source = source
        # Settings from another process are equal, not identical, and the standard ones are known by identity.
        self.settings = STANDARD_SETTINGS if settings == STANDARD_SETTINGS else settings
        known = known_fields(source, settings)
        try:
            self.columns = tuple(map(trim, split_cells(header)))
        except DecodeError as error:
            raise HeaderError(error.text) from None
        missing = [name for name in settings.columns(source) if name not in self.columns]
        repeated = [name for name in sorted(known) if self.columns.count(name) > 1]
        unknown = [name for name in dict.fromkeys(self.columns) if name not in known]
        question = near_miss(known | FILE_COLUMNS, [name for name in unknown if name not in FILE_COLUMNS], self.columns)
        if missing and _UNDECODED.search(header):
            raise HeaderError("the line has bytes that are not UTF-8: save the file as UTF-8")
        if missing:
            first_line = ",".join(self.columns)[:200]
            for separator in (";", "\t", "|"):
                if separator in header and "," not in header:
                    raise HeaderError(f"has cells separated by {separator!r}: save it with commas")
            suffix = f"; {question}" if question else ""
            columns = f"column {missing[0]}" if len(missing) == 1 else f"columns {', '.join(missing)}"
            pronoun = "it" if len(missing) == 1 else "them"
            raise HeaderError(f"lacks the {columns}: its first line must name {pronoun}, and is {first_line!a}{suffix}")
        if repeated:
            raise HeaderError(f"has the column {', '.join(repeated)} more than once")
        if question:
            raise HeaderError(f"has an unknown column: {question} Rename it to that, or to something less similar")
        self.unknown = tuple(unknown)

    def decode(self, line: str, origin: Origin) -> Fact | Rejected:
        """Read one line without its line break; bytes that were not UTF-8 are U+FFFD or lone surrogates in it."""
        cells: Sequence[str] = ()
        fields: dict[str, str | None] = {}
        try:
            cells = split_cells(line)
            if len(cells) > len(self.columns) and any(map(trim, cells[len(self.columns) :])):
                raise DecodeError(
                    RejectCode.SCHEMA_INVALID,
                    f"the row has {len(cells)} cells, the header names {len(self.columns)}: "
                    "quote a cell that has a comma in it",
                )
            # A short row lacks its last fields: the error names the first required one.
            fields = dict(zip(self.columns, cells, strict=False))
            if not line.isascii():
                require_decoded(fields, self.unknown)
            extra = {name: _UNDECODED.sub("\ufffd", fields.pop(name) or "") for name in self.unknown if name in fields}
            leg, shown = read(self.source, fields, self.settings)
            require_no_cancel(self.source, extra, fields)
            return Fact(leg, origin, {**extra, **shown} if shown else extra or None)
        except DecodeError as error:
            text = error.text
            if error.code is RejectCode.FIELD_MISSING and len(cells) < len(self.columns):
                text += f"; the row has {_cell_count(len(cells))}, the header names {len(self.columns)}"
            return Rejected(error.code, text, origin, named_trade(fields, self.settings))

    def key(self, line: str) -> str:
        """The id that the leg of a line lies under, as ``decode`` reads it; empty if there is none."""
        try:
            cells = split_cells(line)
        except DecodeError:
            return ""
        if self.settings.rekeys:
            return trade_id_of(dict(zip(self.columns, cells, strict=False)), self.settings)
        column = self.columns.index("trade_id")
        return trim(cells[column]) if column < len(cells) else ""


def _cell_count(cells: int) -> str:
    return f"{cells} cell{'s' * (cells != 1)}"


def require_decoded(fields: Mapping[str, str | None], unknown: Collection[str]) -> None:
    """Raise DecodeError if a known field has bytes that were not UTF-8."""
    for name, cell in fields.items():
        if name not in unknown and cell and _UNDECODED.search(cell):
            raise DecodeError(
                RejectCode.SCHEMA_INVALID, f"the {name} has bytes that are not UTF-8: save the file as UTF-8"
            )


def split_cells(line: str) -> Sequence[str]:
    """The cells of one line. Blanks around a quoted cell are kept, so that the hint is given. Raises DecodeError.

    >>> split_cells('T1, "a ""b"", c",1')
    ['T1', ' a "b", c', '1']
    """
    if len(line) > MAX_BYTES:
        raise DecodeError(RejectCode.SIZE_EXCEEDED, f"the line has {len(line)} characters: send at most {MAX_BYTES}")
    if '"' not in line:
        return line.split(",")
    cells, index, separator = [], 0, ","
    while separator:
        if quoted := _QUOTED.match(line, index):
            before, text, after, separator = quoted.groups()
            cells.append(before + text.replace('""', '"') + after)
            index = quoted.end()
            continue
        comma = line.find(",", index)
        cell, separator = (line[index:], "") if comma < 0 else (line[index:comma], ",")
        if trim(cell).startswith('"'):
            raise DecodeError(
                RejectCode.SCHEMA_INVALID, "the line has a quote that is never closed, or text after a closing one"
            )
        cells.append(cell)
        index = comma + 1
    return cells


def blank(line: str) -> bool:
    """Whether a line is empty: it is skipped, not rejected.

    >>> blank(" "), blank(","), blank("")
    (True, False, True)
    """
    return not trim(line)
