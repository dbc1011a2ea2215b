"""The break line: one line of log per move of a break, with what whoever clears it needs first."""

from traderecon.records import Outcome, Result
from traderecon.records.codes import worst_severity
from traderecon.records.result_message import difference_text, operand_text


def break_line(result: Result) -> str:
    """One line: transition, trade, reasons, severity, and each failed check with both sides and the difference.

    Whatever a sender wrote is shown in ASCII with its quotes: no line can be broken, no terminal spoken to.
    """
    verdict = result.verdict
    words = [f"break {result.broken.transition}", f"trade={result.trade_id!a}", f"state={verdict.state}"]
    if verdict.reasons:
        words += [f"severity={worst_severity(verdict.reasons)}", f"reasons={','.join(verdict.reasons)}"]
    for check in verdict.checks:
        if check.outcome is Outcome.FAIL:
            ours, theirs = operand_text(check.execution), operand_text(check.confirmation)
            words.append(f"{check.name}={ours!a}/{theirs!a}")
            if check.difference is not None:
                unit = "_ms" if isinstance(check.difference, int) else ""
                words.append(f"{check.name}_difference{unit}={difference_text(check.difference)}")
    return " ".join([*words, f"version={result.version}", f"event={result.event_id[:12]}"])
