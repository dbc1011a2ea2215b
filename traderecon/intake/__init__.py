"""Records in, facts out: strict decoding of messages and rows, total over any input.

    bytes of a topic -> decode ─┐
                                ├─> Fact(leg, origin) | Rejected(code, text, origin)
    line of a CSV    -> Rows  ──┘

    line of a CSV    -> message_of -> the same record as bytes of a topic

Pure: values and text in, values out. Bad input is a value; only a bug raises.
"""

from traderecon.intake.blanks import BLANKS, trim
from traderecon.intake.instants import UTC_FORM, EpochUnit, Form
from traderecon.intake.legs import COLUMNS
from traderecon.intake.messages import MAX_BYTES, decode
from traderecon.intake.relay import message_of
from traderecon.intake.rows import HeaderError, Rows, blank

__all__ = [
    "BLANKS",
    "COLUMNS",
    "MAX_BYTES",
    "UTC_FORM",
    "EpochUnit",
    "Form",
    "HeaderError",
    "Rows",
    "blank",
    "decode",
    "message_of",
    "trim",
]
