"""The headline: a run in one sentence, and whether action is needed."""

from enum import StrEnum

import msgspec

from traderecon.batch.summary import Summary
from traderecon.present.figures import count, ranked, share
from traderecon.records import State


class Urgency(StrEnum):
    """How urgent the report is."""

    ACT = "act"
    LOOK = "look"
    DONE = "done"


class Call(msgspec.Struct, frozen=True):
    """What the reader has to do."""

    urgency: Urgency
    title: str
    text: str


def headline(summary: Summary) -> str:
    """The run in one sentence.

    >>> from collections import Counter
    >>> headline(Summary(states=Counter({State.MATCHED: 3, State.UNMATCHED: 1})))
    '4 trades: 3 matched (75.00 %), 1 break, 0 rows rejected'
    """
    matched, cancelled = summary.states[State.MATCHED], summary.states[State.CANCELLED]
    parts = [f"{count(matched)} matched ({share(matched, summary.trades)})" if summary.trades else "none to match"]
    parts += [count(summary.break_count, "break")]
    parts += [f"{count(cancelled)} cancelled"] if cancelled else []
    parts += [f"{count(summary.rejected.total(), 'row')} rejected"]
    return f"{count(summary.trades, 'trade')}: {', '.join(parts)}"


def call(summary: Summary) -> Call:
    """What to do next."""
    rejected = summary.rejected.total()
    rows = f"{count(rejected, 'row')} could not be read and {'is' if rejected == 1 else 'are'} not in these counts."
    if summary.break_count:
        (reason, times), *others = ranked(summary.reasons)
        text = f"{count(summary.break_count, 'break')} to resolve, most urgent first. "
        text += f"The most frequent reason is {reason} ({count(times)})." if others else f"The reason is {reason}."
        return Call(Urgency.ACT, "Action needed", f"{text} {rows}" if rejected else text)
    if not summary.trades and summary.skipped:
        text = f"Every trade was reconciled before: {count(summary.skipped.total(), 'row')} skipped."
        return Call(Urgency.LOOK if rejected else Urgency.DONE, "Nothing new", f"{text} {rows}" if rejected else text)
    if not summary.trades:
        text = "The files contain no trades."
        return Call(Urgency.LOOK, "Nothing was reconciled", f"{text} {rows}" if rejected else text)
    if rejected:
        return Call(Urgency.LOOK, "Check the rejected rows", f"All trades that could be read agree. {rows}")
    return Call(Urgency.DONE, "No action needed", "All trades agree, and every row could be read.")
