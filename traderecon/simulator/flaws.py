"""Flaws: the ways a row can be malformed, so that it is rejected. Source: DOMAIN.md 6.2 G.

A row is a list of cells as written in the file; bytes that are not UTF-8 are lone surrogates (``surrogateescape``).
"""

from collections.abc import Sequence
from enum import StrEnum


class Flaw(StrEnum):
    """What is wrong with a row."""

    COMMA = "decimal comma"
    NAN = "NaN"
    HUGE = "exponent 400"
    TRUE = "true"
    LONG_NUMBER = "200 digits"
    FINE_NUMBER = "40 fraction digits"
    BLANK = "blank amount"
    NO_DATE = "words for a timestamp"
    NO_SUCH_DATE = "30 February"
    ANCIENT = "year 1"
    FAR = "year 9999"
    NO_ID = "no trade_id"
    CONTROL_ID = "control characters in the trade_id"
    NOT_UTF8 = "bytes that are not UTF-8"
    SHORT = "cells missing"
    LONG = "cells too many"
    UNCLOSED = "unclosed quote"


_AMOUNTS = {
    Flaw.COMMA: '"12,5"',
    Flaw.NAN: "NaN",
    Flaw.HUGE: "1e400",
    Flaw.TRUE: "true",
    Flaw.LONG_NUMBER: "9" * 200,
    Flaw.FINE_NUMBER: "0." + "3" * 40,
    Flaw.BLANK: "",
}

_TIMES = {
    Flaw.NO_DATE: "yesterday",
    Flaw.NO_SUCH_DATE: "2025-02-30T13:30:00.000Z",
    Flaw.ANCIENT: "0001-01-01T00:00:00.000Z",
    Flaw.FAR: "9999-12-31T23:59:59.999Z",
}

TERMS_FLAWS = tuple(Flaw)
PNL_FLAWS = tuple(flaw for flaw in Flaw if flaw not in _TIMES and flaw is not Flaw.BLANK)
"""A snapshot has no timestamp, and may lack one of its amounts."""


def add_flaw(cells: Sequence[str], flaw: Flaw, amount: int) -> list[str]:
    """The cells with the flaw; ``amount`` is the index of the price or pnl_impact, before the timestamp."""
    row = list(cells)
    match flaw:
        case Flaw.NO_ID:
            row[0] = ""
        case Flaw.CONTROL_ID:
            row[0] += "\x1b[2J\x00"
        case Flaw.UNCLOSED:
            row[0] = f'"{row[0]}'
        case Flaw.NOT_UTF8:
            row[1] = "\udcff\udcfe" + row[1]
        case Flaw.SHORT:
            del row[amount:]
        case Flaw.LONG:
            row += ["one", "more"]
        case _ if flaw in _TIMES:
            row[amount + 1] = _TIMES[flaw]
        case _:
            row[amount] = _AMOUNTS[flaw]
    return row
