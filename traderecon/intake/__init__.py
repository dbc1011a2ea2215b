"""Records in, facts out: strict decoding of messages and rows, total over any input.

    bytes of a topic -> decode ─┐
                                ├─> Fact(leg, origin) | Rejected(code, text, origin)
    line of a CSV    -> Rows  ──┘

    line of a CSV    -> message_of -> the same record as bytes of a topic

Pure: values and text in, values out. Bad input is a value; only a bug raises.
"""

from traderecon.intake.blanks import BLANKS, trim
from traderecon.intake.date_forms import DateForm
from traderecon.intake.instants import UTC_FORM, EpochUnit, Form
from traderecon.intake.messages import MAX_BYTES, decode
from traderecon.intake.relay import message_of
from traderecon.intake.rows import HeaderError, Rows, blank
from traderecon.intake.source_settings import (
    COLUMNS,
    STANDARD_SETTINGS,
    SettingsBySource,
    SideView,
    SourceSettings,
    reads_plainly,
)

__all__ = [
    "BLANKS",
    "COLUMNS",
    "MAX_BYTES",
    "STANDARD_SETTINGS",
    "UTC_FORM",
    "DateForm",
    "EpochUnit",
    "Form",
    "HeaderError",
    "Rows",
    "SettingsBySource",
    "SideView",
    "SourceSettings",
    "blank",
    "decode",
    "message_of",
    "reads_plainly",
    "trim",
]
