"""Words: what each code means, for a reader who has never seen it. One entry per code, or the report cannot be made."""

from traderecon.records import Hint, Outcome, RejectCode, Source, State

SOURCES: dict[Source, str] = {
    Source.EXECUTIONS: "our executions",
    Source.CONFIRMATIONS: "the broker's confirmations",
    Source.PNL: "accounting's pnl snapshots",
}

STATES: dict[State, str] = {
    State.PENDING: "waiting for a side",
    State.MATCHED: "both sides agree",
    State.MISMATCHED: "both sides are here and disagree",
    State.UNMATCHED: "one side only",
    State.CANCELLED: "cancelled, nothing to compare",
}

OUTCOMES: dict[Outcome, str] = {
    Outcome.PASS: "equal",
    Outcome.WITHIN_TOLERANCE: "apart, but allowed",
    Outcome.FAIL: "differs",
    Outcome.NOT_CHECKED: "not compared",
}

HINTS: dict[Hint, str] = {
    Hint.LATE_CONFIRMATION: "The confirmation came after the grace was over.",
    Hint.STALE_VERSION: "An older version of a leg arrived after a newer one; the newer one stands.",
    Hint.VERSION_GAP: "A version below the one that stands never arrived.",
    Hint.CANCEL_UNVERSIONED: "A cancel names no version: it stands over every version of its side.",
    Hint.DUPLICATE_IDENTICAL: "A leg arrived again with the same content, and was ignored.",
    Hint.ORPHAN_PNL: "A pnl snapshot for a trade nobody sent.",
    Hint.CONFIRM_BEFORE_EXECUTION: "The confirmation is timed before the execution: one of the clocks is wrong.",
    Hint.CLOCK_SUSPECT: "Many trades of one broker drift the same way: its clock, or ours, is off.",
    Hint.FUTURE_TIMESTAMP: "The timestamp lies ahead of the time at which the record arrived.",
    Hint.TIMESTAMP_NO_TIMEZONE: "A timestamp names no time zone; it was read in its feed's zone, UTC by default.",
    Hint.LEAP_SECOND: "A timestamp has a second 60; it was read as the last instant of second 59.",
    Hint.TRADE_DATE_ROLL: "The two timestamps fall on different UTC days.",
    Hint.NORMALISED: "Blanks around a ticker or a trade_id were removed before comparing.",
    Hint.ALIAS: "Two names of one instrument were taken as equal, by the alias table.",
    Hint.CONFUSABLE: "The texts look alike and are not: they have characters of different alphabets.",
    Hint.LOOKS_LIKE_FLOAT_NOISE: "The amounts differ only where a binary float runs out of digits: a producer's bug.",
    Hint.PNL_BASIS_SUSPECT: "pnl_impact does not look like net money at all. See “The pnl check”.",
    Hint.PNL_FITS_CONFIRMATION: "pnl_impact agrees with the broker's price and quantity, not with ours.",
    Hint.KEY_MISMATCH: "The record's key is not its trade_id; the trade_id was believed.",
    Hint.FX_RATE_UNAVAILABLE: "Trade and snapshot name different currencies; without a rate nothing was compared.",
}

REJECTS: dict[RejectCode, str] = {
    RejectCode.HANDLER_ERROR: "Reading it failed for a reason of our own.",
    RejectCode.TOO_MANY_FACTS: "Of earlier versions: the trade had as many different records as were kept.",
    RejectCode.MALFORMED_JSON: "It is not a JSON object.",
    RejectCode.SCHEMA_INVALID: "A cell is not what its column asks for, or the row does not fit the header.",
    RejectCode.SCHEMA_UNSUPPORTED: "It follows a newer schema than this version reads.",
    RejectCode.FIELD_MISSING: "A field that every record needs is empty.",
    RejectCode.KEY_MISSING: "It has no trade_id.",
    RejectCode.KEY_INVALID: "Its trade_id is too long or has control characters.",
    RejectCode.VALUE_NOT_FINITE: "A number is NaN or infinite.",
    RejectCode.VALUE_OUT_OF_RANGE: "A number is too large, or a quantity is not above zero.",
    RejectCode.NUMBER_PRECISION_EXCEEDED: "A number has more digits than can be kept exactly; nothing is rounded.",
    RejectCode.TIMESTAMP_UNPARSEABLE: "The timestamp is in no known form.",
    RejectCode.TIMESTAMP_INVALID: "The timestamp names a moment that does not exist, or one outside 1970 to 2262.",
    RejectCode.TIMESTAMP_AMBIGUOUS: "The timestamp names two moments, since clocks were put back.",
    RejectCode.SIZE_EXCEEDED: "It, or one of its cells, is longer than is read.",
    RejectCode.EVENT_TYPE_UNSUPPORTED: "Its kind is neither new, amend nor cancel; a snapshot cannot be cancelled.",
    RejectCode.TOMBSTONE_IGNORED: "It has no value at all.",
}
