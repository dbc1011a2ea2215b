"""The vocabulary: legs, facts, checks, verdicts, results, and the codes for what is wrong.

    bytes or row -> Fact(leg, origin) | Rejected          a leg is what a verdict can see, an origin is not
    facts + watermark -> Verdict(state, reasons, checks, hints) -> Result

Pure values, frozen and exact. Nothing here reads a clock, a file or a table.
"""

from traderecon.records.codes import STANDINGS, Hint, Reason, RejectCode, Severity, Standing
from traderecon.records.facts import Fact, Origin, Rejected, identity
from traderecon.records.legs import ALL_VERSIONS, CONTENT, Confirmation, Execution, Leg, PnlSnapshot
from traderecon.records.results import (
    Break,
    Check,
    Operand,
    Outcome,
    Result,
    RulesStamp,
    State,
    Told,
    Transition,
    Verdict,
)
from traderecon.records.sources import Kind, Source

__all__ = [
    "ALL_VERSIONS",
    "CONTENT",
    "STANDINGS",
    "Break",
    "Check",
    "Confirmation",
    "Execution",
    "Fact",
    "Hint",
    "Kind",
    "Leg",
    "Operand",
    "Origin",
    "Outcome",
    "PnlSnapshot",
    "Reason",
    "RejectCode",
    "Rejected",
    "Result",
    "RulesStamp",
    "Severity",
    "Source",
    "Standing",
    "State",
    "Told",
    "Transition",
    "Verdict",
    "identity",
]
