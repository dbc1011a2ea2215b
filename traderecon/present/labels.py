"""Labels: the meaning of each code for a reader who has never seen it. Every code must have an entry.

Those of reasons, hints and reject codes are in the registry: ``records.codes``.
"""

from traderecon.present.figures import count
from traderecon.records import Compared, Outcome, Source, State
from traderecon.records.codes import HINT_MEANINGS, REJECT_MEANINGS
from traderecon.records.result_message import RemedyMessage

SOURCES: dict[Source, str] = {
    Source.EXECUTIONS: "our executions",
    Source.CONFIRMATIONS: "the broker's confirmations",
    Source.PNL: "accounting's pnl snapshots",
}

STATES: dict[State, str] = {
    State.PENDING: "waiting for a side",
    State.MATCHED: "both sides agree",
    State.MISMATCHED: "both sides arrived and disagree",
    State.UNMATCHED: "one side only",
    State.CANCELLED: "cancelled, nothing to compare",
}


def agreement(compared: Compared) -> str:
    """How far the two sides agree, in words.

    >>> agreement(Compared(agreed=4, differing=1, sent_by_both=5, sent_by_one=1))
    'The sides agree on 4 of the 5 fields that both sent. One side alone sent 1 field.'
    """
    if not compared.sent_by_both:
        return f"Nothing was sent by both sides; one side sent {count(compared.sent_by_one, 'field')}."
    whole = f"The sides agree on {compared.agreed} of the {count(compared.sent_by_both, 'field')} that both sent."
    return f"{whole} One side alone sent {count(compared.sent_by_one, 'field')}." if compared.sent_by_one else whole


def remedy_text(remedy: RemedyMessage) -> str:
    """What would clear a break, in words.

    >>> remedy_text(RemedyMessage("price", "0.006")), remedy_text(RemedyMessage("pnl", "1", above=True))
    ('a price tolerance of 0.006', 'a pnl tolerance of more than 1')
    >>> remedy_text(RemedyMessage("price", "190.5", "executions.price"))
    'executions.price = 190.5'
    """
    if remedy.field is not None:
        return f"{remedy.field} = {remedy.value}"
    unit = " ms" if remedy.check == "timestamp" else ""
    return f"a {remedy.check} tolerance of {'more than ' if remedy.above else ''}{remedy.value}{unit}"


OUTCOMES: dict[Outcome, str] = {
    Outcome.PASS: "equal",
    Outcome.WITHIN_TOLERANCE: "differs within tolerance",
    Outcome.FAIL: "differs",
    Outcome.NOT_CHECKED: "not compared",
}

HINTS = HINT_MEANINGS
REJECTS = REJECT_MEANINGS
