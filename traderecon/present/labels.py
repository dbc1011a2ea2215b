"""Labels: the meaning of each code for a reader who has never seen it. Every code must have an entry."""

from traderecon.present.figures import count
from traderecon.records import Compared, Hint, Outcome, RejectCode, Source, State
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

HINTS: dict[Hint, str] = {
    Hint.LATE_CONFIRMATION: "The confirmation arrived after the grace period.",
    Hint.LATE_EXECUTION: "The execution arrived after the grace period: our own record was late.",
    Hint.STALE_VERSION: "An older version of a leg arrived after a newer one; the newer one is effective.",
    Hint.VERSION_GAP: "A version before the effective one never arrived.",
    Hint.CANCEL_UNVERSIONED: "A cancel without a version: it cancels every version of its side.",
    Hint.DUPLICATE_IDENTICAL: "A leg was received again with the same content, and ignored.",
    Hint.ORPHAN_PNL: "A pnl snapshot for a trade without any other leg.",
    Hint.CONFIRM_BEFORE_EXECUTION: "The confirmation's timestamp is before the execution's: one clock is wrong.",
    Hint.CLOCK_SUSPECT: "Many trades with one broker drift in the same direction: one of the two clocks is wrong.",
    Hint.FUTURE_TIMESTAMP: "The timestamp is later than the arrival of the record.",
    Hint.TIMESTAMP_NO_TIMEZONE: "A timestamp has no time zone; the zone of its source was assumed, UTC by default.",
    Hint.LEAP_SECOND: "A timestamp has second 60; it was taken as the last instant of second 59.",
    Hint.TRADE_DATE_ROLL: "The two timestamps fall on different UTC days.",
    Hint.NORMALISED: "Blanks, lower case or a minor unit were brought to the standard form before the comparison.",
    Hint.ALIAS: "The alias table maps two tickers to the same instrument.",
    Hint.CONFUSABLE: "The texts look alike but differ: they contain characters of different alphabets.",
    Hint.LOOKS_LIKE_FLOAT_NOISE: "The amounts differ only by a rounding error of binary floats: a bug in a producer.",
    Hint.PNL_BASIS_SUSPECT: "pnl_impact does not look like a net amount. See “The pnl check”.",
    Hint.PNL_FITS_CONFIRMATION: "pnl_impact agrees with the broker's price and quantity, not with the execution's.",
    **{
        hint: f"pnl_impact does not fit the basis in force, but fits {basis}: perhaps the rules should say so."
        for hint, basis in (
            (Hint.PNL_FITS_NET_CONSIDERATION, "price * quantity - commission"),
            (Hint.PNL_FITS_NET_CONSIDERATION_SIDED, "a seller's proceeds less commission or a buyer's cost with it"),
            (Hint.PNL_FITS_CASH_FLOW, "the cash flow (negative for a purchase)"),
            (Hint.PNL_FITS_GROSS, "price * quantity"),
            (Hint.PNL_FITS_REALIZED, "the realised PnL"),
            (Hint.PNL_FITS_MARK_TO_MARKET, "the mark to market"),
        )
    },
    Hint.KEY_MISMATCH: "The record's key is not its trade_id; the trade_id was used.",
    Hint.FX_RATE_UNAVAILABLE: "Trade and snapshot have different currencies: not compared without an exchange rate.",
}

REJECTS: dict[RejectCode, str] = {
    RejectCode.HANDLER_ERROR: "Processing it failed with an internal error.",
    RejectCode.TOO_MANY_FACTS: "From earlier versions: the trade had reached the limit of different records.",
    RejectCode.MALFORMED_JSON: "The record is not a JSON object.",
    RejectCode.SCHEMA_INVALID: "A field has the wrong type, or the row does not match the header.",
    RejectCode.SCHEMA_UNSUPPORTED: "The record has a newer schema than this version supports.",
    RejectCode.FIELD_MISSING: "A required field is empty.",
    RejectCode.KEY_MISSING: "The record has no trade_id.",
    RejectCode.KEY_INVALID: "The trade_id is too long or contains control characters.",
    RejectCode.VALUE_NOT_FINITE: "A number is NaN or infinite.",
    RejectCode.VALUE_OUT_OF_RANGE: "A number is too large, or a quantity is not above zero.",
    RejectCode.NUMBER_PRECISION_EXCEEDED: "A number has more digits than can be stored exactly; nothing is rounded.",
    RejectCode.TIMESTAMP_UNPARSEABLE: "The format of the timestamp is unknown.",
    RejectCode.TIMESTAMP_INVALID: "The timestamp does not exist, or is outside 1970 to 2262.",
    RejectCode.TIMESTAMP_AMBIGUOUS: "The timestamp is ambiguous: clocks were set back at that time.",
    RejectCode.SIZE_EXCEEDED: "The record, or one of its fields, is too long.",
    RejectCode.EVENT_TYPE_UNSUPPORTED: "The kind is not new, amend or cancel, or a cancel is for a pnl snapshot.",
    RejectCode.TOMBSTONE_IGNORED: "The record has no value.",
}
