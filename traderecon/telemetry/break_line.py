"""The break line: one log line per transition of a break, with what is needed first to resolve it."""

from traderecon.records import Outcome, Result
from traderecon.records.result_message import difference_text, operand_text


def break_line(result: Result) -> str:
    """One line: transition, trade, severity, stake, reasons; each failed check with both sides and difference.

    A sender's texts are quoted and escaped to ASCII: they cannot break the line or send codes to a terminal.
    """
    verdict = result.verdict
    parts = [f"break {result.break_.transition}", f"trade={result.trade_id!a}", f"state={verdict.state}"]
    if result.assessment is not None:
        stake = result.assessment.stake
        parts += [f"severity={result.assessment.severity}", f"at_stake={operand_text(stake.amount) or 'unknown'}"]
        if stake.currency is not None:
            parts.append(f"currency={stake.currency!a}")
        parts.append(f"reasons={','.join(verdict.reasons)}")
    for check in verdict.checks:
        if check.outcome is Outcome.FAIL:
            ours, theirs = operand_text(check.execution), operand_text(check.confirmation)
            parts.append(f"{check.name}={ours!a}/{theirs!a}")
            if check.difference is not None:
                unit = "_ms" if isinstance(check.difference, int) else ""
                parts.append(f"{check.name}_difference{unit}={difference_text(check.difference)}")
    return " ".join([*parts, f"version={result.version}", f"event={result.event_id[:12]}"])
