"""Rows: one line of a CSV file -> Fact | Rejected. Total over all lines.

One record per line: a quoted cell may hold commas and doubled quotes, but no line break, so that a quote which is never
closed costs its own line and not its neighbours. Blanks around a cell are no part of it, before a quote neither. The
header names the columns, in any order; one that is not ours refuses nothing, whatever is in it.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from traderecon.intake.blanks import BLANKS, trimmed
from traderecon.intake.decode_error import DecodeError
from traderecon.intake.instants import UTC_FORM, Form
from traderecon.intake.legs import COLUMNS, KNOWN, leg_of, unread
from traderecon.intake.messages import MAX_BYTES
from traderecon.intake.near import near_miss
from traderecon.intake.withdrawn import require_no_cancel
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source

_UNDECODED = re.compile("[\ufffd\udc80-\udcff]")
_QUOTED = re.compile(rf'([{BLANKS}]*)"([^"]*(?:""[^"]*)*)"([{BLANKS}]*)(,|\Z)')


class HeaderError(ValueError):
    """The header does not name every column the source has; the message says which, and what was found."""


class Rows:
    """Reads the lines of one source under one header.

    >>> rows = Rows(Source.PNL, "trade_id,commission,pnl_impact")
    >>> rows.decode("T1,0.5,95.00", Origin("pnl_snapshot.csv", 0, 2)).leg.pnl_impact
    Decimal('95')
    """

    def __init__(self, source: Source, header: str, form: Form = UTC_FORM) -> None:
        self.source = source
        self.form = form
        try:
            self.columns = tuple(map(trimmed, cells_of(header)))
        except DecodeError as refusal:
            raise HeaderError(refusal.text) from None
        missing = [name for name in COLUMNS[source] if name not in self.columns]
        twice = [name for name in sorted(KNOWN[source]) if self.columns.count(name) > 1]
        unknown = [name for name in dict.fromkeys(self.columns) if name not in KNOWN[source]]
        meant = near_miss(source, unknown, self.columns)
        if missing and _UNDECODED.search(header):
            raise HeaderError("the line has bytes that are not UTF-8: save the file as UTF-8")
        if missing:
            found = ",".join(self.columns)[:200]
            for separator in (";", "\t", "|"):
                if separator in header and "," not in header:
                    raise HeaderError(f"has cells separated by {separator!r}: save it with commas")
            ask = f"; {meant}" if meant else ""
            lacks = f"column {missing[0]}" if len(missing) == 1 else f"columns {', '.join(missing)}"
            them = "it" if len(missing) == 1 else "them"
            raise HeaderError(f"lacks the {lacks}: its first line must name {them}, and is {found!a}{ask}")
        if twice:
            raise HeaderError(f"has the column {', '.join(twice)} more than once")
        if meant:
            raise HeaderError(f"has a column that is not read: {meant} Give it that name, or one that is unlike it")
        self.unknown = tuple(unknown)

    def decode(self, line: str, origin: Origin) -> Fact | Rejected:
        """Read one line without its line break; bytes that were no UTF-8 stand in it as U+FFFD or lone surrogates."""
        cells: Sequence[str] = ()
        try:
            cells = cells_of(line)
            if len(cells) > len(self.columns) and any(map(trimmed, cells[len(self.columns) :])):
                raise DecodeError(
                    RejectCode.SCHEMA_INVALID,
                    f"the row has {len(cells)} cells, the header names {len(self.columns)}: "
                    "quote a cell that has a comma in it",
                )
            # A short row lacks its last fields; which one it needed is said by name.
            fields: dict[str, str | None] = dict(zip(self.columns, cells, strict=False))
            if not line.isascii():
                require_decoded(fields, self.unknown)
            extra = {name: _UNDECODED.sub("\ufffd", fields.pop(name) or "") for name in self.unknown if name in fields}
            leg = leg_of(self.source, fields, self.form)
            require_no_cancel(self.source, extra, fields)
            return Fact(leg, origin, {**extra, **unread(leg, fields)} or None)
        except DecodeError as refusal:
            text = refusal.text
            if refusal.code is RejectCode.FIELD_MISSING and len(cells) < len(self.columns):
                text += f"; the row has {_counted(len(cells))}, the header names {len(self.columns)}"
            return Rejected(refusal.code, text, origin)

    def key(self, line: str) -> str:
        """The trade_id of a line, as ``decode`` will see it; empty where it sees none."""
        try:
            cells = cells_of(line)
        except DecodeError:
            return ""
        column = self.columns.index("trade_id")
        return trimmed(cells[column]) if column < len(cells) else ""


def _counted(cells: int) -> str:
    return f"{cells} cell{'s' * (cells != 1)}"


def require_decoded(fields: Mapping[str, str | None], unknown: Collection[str]) -> None:
    """Refusal where a field of ours has bytes that were no UTF-8."""
    for name, cell in fields.items():
        if name not in unknown and cell and _UNDECODED.search(cell):
            raise DecodeError(
                RejectCode.SCHEMA_INVALID, f"the {name} has bytes that are not UTF-8: save the file as UTF-8"
            )


def cells_of(line: str) -> Sequence[str]:
    """The cells of one line, or Refusal; blanks around a quoted one are left, so that it is seen that they were there.

    >>> cells_of('T1, "a ""b"", c",1')
    ['T1', ' a "b", c', '1']
    """
    if len(line) > MAX_BYTES:
        raise DecodeError(RejectCode.SIZE_EXCEEDED, f"the line has {len(line)} characters: send at most {MAX_BYTES}")
    if '"' not in line:
        return line.split(",")
    cells, at, separator = [], 0, ","
    while separator:
        if quoted := _QUOTED.match(line, at):
            before, text, behind, separator = quoted.groups()
            cells.append(before + text.replace('""', '"') + behind)
            at = quoted.end()
            continue
        comma = line.find(",", at)
        cell, separator = (line[at:], "") if comma < 0 else (line[at:comma], ",")
        if trimmed(cell).startswith('"'):
            raise DecodeError(
                RejectCode.SCHEMA_INVALID, "the line has a quote that is never closed, or text behind a closing one"
            )
        cells.append(cell)
        at = comma + 1
    return cells


def blank(line: str) -> bool:
    """Whether a line says nothing: it is no row, and nobody's mistake.

    >>> blank(" "), blank(","), blank("")
    (True, False, True)
    """
    return not trimmed(line)
