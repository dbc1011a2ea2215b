"""The vocabulary: legs, facts, checks, verdicts, results, and the codes of everything that can be wrong.

    bytes or row -> Fact(leg, origin) | Rejected          a verdict depends on the leg, never on the origin
    facts + watermark -> Verdict(state, reasons, checks, hints) -> Result

Pure values, frozen and exact. Nothing here reads a clock, a file or a table.
"""

from traderecon.records.codes import REASON_INFO, Hint, Reason, ReasonInfo, RejectCode, Severity
from traderecon.records.facts import Fact, Origin, Rejected, identity
from traderecon.records.legs import ALL_VERSIONS, CONTENT, STANDARD, Confirmation, Execution, Leg, PnlSnapshot
from traderecon.records.results import (
    Assessment,
    Break,
    Check,
    Compared,
    Escalation,
    LastPublished,
    Operand,
    Outcome,
    Remedy,
    Result,
    RulesStamp,
    Stake,
    State,
    Transition,
    Verdict,
    break_id,
)
from traderecon.records.sources import Kind, Source

__all__ = [
    "ALL_VERSIONS",
    "CONTENT",
    "REASON_INFO",
    "STANDARD",
    "Assessment",
    "Break",
    "Check",
    "Compared",
    "Confirmation",
    "Escalation",
    "Execution",
    "Fact",
    "Hint",
    "Kind",
    "LastPublished",
    "Leg",
    "Operand",
    "Origin",
    "Outcome",
    "PnlSnapshot",
    "Reason",
    "ReasonInfo",
    "RejectCode",
    "Rejected",
    "Remedy",
    "Result",
    "RulesStamp",
    "Severity",
    "Source",
    "Stake",
    "State",
    "Transition",
    "Verdict",
    "break_id",
    "identity",
]
