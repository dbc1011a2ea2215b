"""A day of three sources that each write in their own way: rules file, files, and what every engine must find."""

from pathlib import Path

from traderecon.intake import SettingsBySource
from traderecon.records import Source
from traderecon.rules.file import parse_rules
from traderecon.sourcebook import parse_sources

RULES = """
name = "desk-7"

[checks]
timestamp = false                     # the executions have no times

[sources.executions]
signed = true
kind_field = "exec_type"
kinds = { new = ["F"], amend = ["G"], cancel = ["H"] }
reference_field = "exec_ref_id"

[sources.broker_confirmations]
zone = "America/New_York"
date_forms = ["MM/DD/YYYY"]
side = "mirrored"
minor_units = true
fold_case = true
required = ["account"]

[sources.broker_confirmations.aliases]
"BRK.B" = ["BRK/B"]

[sources.pnl_snapshot]
minor_units = true
"""

FILES = {
    Source.EXECUTIONS: """\
trade_id,exec_type,exec_ref_id,ticker,quantity,price,currency
S1,F,,AAPL,-100,190.50,USD
S2,F,,BRK.B,100,400.25,USD
S3,F,,VOD,100,0.725,GBP
S4,F,,AAPL,100,190.50,USD
S5,F,,AAPL,100,199.50,USD
S5b,G,S5,AAPL,100,190.50,USD
S6,F,,AAPL,100,190.50,USD
S6b,H,S6,,,,
S7,0,,AAPL,100,190.50,USD
S8b,H,,,,,
S9,F,,AAPL,0,190.50,USD
N/A,F,,AAPL,100,190.50,USD
""",
    Source.CONFIRMATIONS: """\
trade_id,ticker,quantity,price,timestamp,side,currency,account
S1,aapl,100,190.50,07/26/2025 06:01:23 AM,BUY,USD,A
S2,BRK/B,100,400.25,07/26/2025 06:01:23.000000001,SELL,USD,A
S3,VOD,100,72.5,07/26/2025 06:01:23,SELL,GBX,A
S4,AAPL,100,190.50,07/26/2025 06:01:23,BUY,USD,A
S5,AAPL,100,190.50,07/26/2025 06:01:23,SELL,USD,A
S6,AAPL,100,190.50,07/26/2025 06:01:23,SELL,USD,A
S10,AAPL,100,190.50,11/02/2025 01:30:00,SELL,USD,A
S11,AAPL,100,190.50,07/26/2025 06:01:23,SELL,USD,
NULL,AAPL,100,190.50,07/26/2025 06:01:23,SELL,USD,A
""",
    Source.PNL: """\
trade_id,pnl_impact,commission,currency
S3,7250,0,GBp
""",
}

VERDICTS = {
    "S1": ("MATCHED", "", ["NORMALISED", "TIMESTAMP_NO_TIMEZONE"]),
    "S2": ("MATCHED", "", ["ALIAS", "TIMESTAMP_NO_TIMEZONE"]),
    "S3": ("MATCHED", "", ["NORMALISED", "TIMESTAMP_NO_TIMEZONE"]),
    "S4": ("MISMATCHED", "SIDE_MISMATCH", ["TIMESTAMP_NO_TIMEZONE"]),
    "S5": ("MATCHED", "", ["TIMESTAMP_NO_TIMEZONE"]),
    "S6": ("MISMATCHED", "CANCELLED_ONE_SIDE", ["CANCEL_UNVERSIONED", "TIMESTAMP_NO_TIMEZONE"]),
}
"""State, reasons and hints of every trade that has a leg."""

REJECTS = [
    ("broker_confirmations", "FIELD_MISSING"),
    ("broker_confirmations", "KEY_MISSING"),
    ("broker_confirmations", "TIMESTAMP_AMBIGUOUS"),
    ("executions", "EVENT_TYPE_UNSUPPORTED"),
    ("executions", "KEY_MISSING"),
    ("executions", "KEY_MISSING"),
    ("executions", "VALUE_OUT_OF_RANGE"),
]
"""Source and code of every record that is rejected, sorted."""


def write(folder: Path) -> Path:
    """Write the rules file and a CSV file for each source; the path of the rules file."""
    for source, content in FILES.items():
        (folder / f"{source}.csv").write_text(content, encoding="utf-8")
    path = folder / "desk.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def settings() -> SettingsBySource:
    """The settings of the sources."""
    return parse_sources(RULES, parse_rules(RULES))
