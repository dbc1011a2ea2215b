"""Relay: a line of a CSV file as the equivalent message.

    T1,AAPL,100,190.50,2025-07-26T10:01:23Z   ->   {"trade_id":"T1","ticker":"AAPL","quantity":"100",...}

``decode`` of the message and ``Rows.decode`` of the line give the same leg, or both are Rejected, with the same code.
Two exceptions: a line below ``MAX_BYTES`` is SIZE_EXCEEDED as a message if its message, which names every field, is
above it; a line that is a JSON object or array itself is MALFORMED_JSON, like a message encoded twice. Source:
docs/files.md.
"""

from collections.abc import Collection, Sequence

import msgspec

from traderecon.intake.blanks import trim
from traderecon.intake.decode_error import DecodeError
from traderecon.intake.messages import MAX_BYTES, is_csv_line
from traderecon.intake.rows import require_decoded, split_cells

_encode = msgspec.json.Encoder().encode


def message_of(columns: Sequence[str], line: str, unknown: Collection[str] = ()) -> bytes:
    """The bytes to send for one line without its line break, under a header with these columns.

    An empty cell is left out: it was not sent. ``unknown`` are the unknown columns: nothing in them makes a line
    invalid. An invalid line is sent as it is, to be rejected where its neighbours are decoded; bytes that were not
    UTF-8 are lone surrogates in it (``surrogateescape``) and are sent as those bytes.

    >>> message_of(("trade_id", "pnl_impact", "commission"), "T1,95.00,")
    b'{"trade_id":"T1","pnl_impact":"95.00"}'
    >>> message_of(("trade_id", "pnl_impact", "commission"), "T1,95.00,0.5,7")
    b'T1,95.00,0.5,7'
    """
    try:
        cells = split_cells(line)
        fields = dict(zip(columns, cells, strict=False))
        if not line.isascii():
            require_decoded(fields, unknown)
    except DecodeError:
        return _unchanged(line)
    if any(map(trim, cells[len(columns) :])):
        return _unchanged(line)
    return _encode({name: _text(cell) for name, cell in fields.items() if cell})


def _text(cell: str) -> str:
    """The cell, with U+FFFD for bytes that were not UTF-8."""
    return cell if cell.isascii() else cell.encode(errors="surrogateescape").decode(errors="replace")


def _unchanged(line: str) -> bytes:
    """The line's own bytes; as a JSON string if they might be read as something other than a line."""
    raw = line.encode(errors="surrogateescape")
    if is_csv_line(line) or len(raw) > MAX_BYTES:
        return raw
    return _encode(raw.decode(errors="replace"))
