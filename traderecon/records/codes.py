"""The registry of codes: what keeps a trade from MATCHED, what is only worth knowing, why a record is rejected.

Names are stable: dashboards and downstream systems depend on them. Source: DOMAIN.md 7.3.
"""

from functools import lru_cache

import msgspec

from traderecon.records.words import Word


class Reason(Word):
    """What keeps a trade from MATCHED."""

    MISSING_CONFIRMATION = "MISSING_CONFIRMATION"
    MISSING_EXECUTION = "MISSING_EXECUTION"
    MISSING_PNL = "MISSING_PNL"
    FIELD_MISSING = "FIELD_MISSING"
    QUANTITY_MISMATCH = "QUANTITY_MISMATCH"
    PRICE_MISMATCH = "PRICE_MISMATCH"
    TIMESTAMP_DRIFT = "TIMESTAMP_DRIFT"
    PNL_INCONSISTENT = "PNL_INCONSISTENT"
    TICKER_MISMATCH = "TICKER_MISMATCH"
    SIDE_MISMATCH = "SIDE_MISMATCH"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    COUNTERPARTY_MISMATCH = "COUNTERPARTY_MISMATCH"
    BROKER_MISMATCH = "BROKER_MISMATCH"
    ORDER_ID_MISMATCH = "ORDER_ID_MISMATCH"
    COMMISSION_MISMATCH = "COMMISSION_MISMATCH"
    TRADE_DATE_MISMATCH = "TRADE_DATE_MISMATCH"
    SETTLEMENT_DATE_MISMATCH = "SETTLEMENT_DATE_MISMATCH"
    DUPLICATE_CONFLICT = "DUPLICATE_CONFLICT"
    MULTIPLE_CONFIRMATIONS = "MULTIPLE_CONFIRMATIONS"
    CANCELLED_ONE_SIDE = "CANCELLED_ONE_SIDE"
    CANCEL_UNKNOWN_TRADE = "CANCEL_UNKNOWN_TRADE"
    AMBIGUOUS_MATCH = "AMBIGUOUS_MATCH"
    KEY_AMBIGUOUS = "KEY_AMBIGUOUS"
    GROUP_PENDING = "GROUP_PENDING"
    ORPHAN_LATE = "ORPHAN_LATE"
    RECONCILED_ROW_CHANGED = "RECONCILED_ROW_CHANGED"
    MANUAL_UNMATCH = "MANUAL_UNMATCH"


class Hint(Word):
    """What helps a reader understand a trade. Decides nothing, except KEY_AMBIGUOUS on a leg, which is not compared."""

    LATE_CONFIRMATION = "LATE_CONFIRMATION"
    LATE_EXECUTION = "LATE_EXECUTION"
    SOURCE_WAS_SILENT = "SOURCE_WAS_SILENT"
    STALE_VERSION = "STALE_VERSION"
    VERSION_GAP = "VERSION_GAP"
    CANCEL_UNVERSIONED = "CANCEL_UNVERSIONED"
    DUPLICATE_IDENTICAL = "DUPLICATE_IDENTICAL"
    ORPHAN_PNL = "ORPHAN_PNL"
    CONFIRM_BEFORE_EXECUTION = "CONFIRM_BEFORE_EXECUTION"
    CLOCK_SUSPECT = "CLOCK_SUSPECT"
    FUTURE_TIMESTAMP = "FUTURE_TIMESTAMP"
    TIMESTAMP_NO_TIMEZONE = "TIMESTAMP_NO_TIMEZONE"
    LEAP_SECOND = "LEAP_SECOND"
    TRADE_DATE_ROLL = "TRADE_DATE_ROLL"
    NORMALISED = "NORMALISED"
    CURRENCY_UNKNOWN = "CURRENCY_UNKNOWN"
    ALIAS = "ALIAS"
    CONFUSABLE = "CONFUSABLE"
    TICKER_CASE = "TICKER_CASE"
    TOLERANCE_COVERS_PRICE = "TOLERANCE_COVERS_PRICE"
    LOOKS_LIKE_FLOAT_NOISE = "LOOKS_LIKE_FLOAT_NOISE"
    PNL_BASIS_SUSPECT = "PNL_BASIS_SUSPECT"
    PNL_FITS_CONFIRMATION = "PNL_FITS_CONFIRMATION"
    PNL_FITS_NET_CONSIDERATION = "PNL_FITS_NET_CONSIDERATION"
    PNL_FITS_NET_CONSIDERATION_SIDED = "PNL_FITS_NET_CONSIDERATION_SIDED"
    PNL_FITS_CASH_FLOW = "PNL_FITS_CASH_FLOW"
    PNL_FITS_GROSS = "PNL_FITS_GROSS"
    PNL_FITS_REALIZED = "PNL_FITS_REALIZED"
    PNL_FITS_MARK_TO_MARKET = "PNL_FITS_MARK_TO_MARKET"
    KEY_AMBIGUOUS = "KEY_AMBIGUOUS"
    KEY_MISMATCH = "KEY_MISMATCH"
    FX_RATE_UNAVAILABLE = "FX_RATE_UNAVAILABLE"


class RejectCode(Word):
    """Why a message could not be decoded: it becomes a dead letter and never changes a trade."""

    HANDLER_ERROR = "HANDLER_ERROR"
    TOO_MANY_FACTS = "TOO_MANY_FACTS"
    MALFORMED_JSON = "MALFORMED_JSON"
    SCHEMA_INVALID = "SCHEMA_INVALID"
    SCHEMA_UNSUPPORTED = "SCHEMA_UNSUPPORTED"
    FIELD_MISSING = "FIELD_MISSING"
    KEY_MISSING = "KEY_MISSING"
    KEY_INVALID = "KEY_INVALID"
    VALUE_NOT_FINITE = "VALUE_NOT_FINITE"
    VALUE_OUT_OF_RANGE = "VALUE_OUT_OF_RANGE"
    NUMBER_PRECISION_EXCEEDED = "NUMBER_PRECISION_EXCEEDED"
    TIMESTAMP_UNPARSEABLE = "TIMESTAMP_UNPARSEABLE"
    TIMESTAMP_INVALID = "TIMESTAMP_INVALID"
    TIMESTAMP_AMBIGUOUS = "TIMESTAMP_AMBIGUOUS"
    SIZE_EXCEEDED = "SIZE_EXCEEDED"
    EVENT_TYPE_UNSUPPORTED = "EVENT_TYPE_UNSUPPORTED"
    TOMBSTONE_IGNORED = "TOMBSTONE_IGNORED"


class Severity(Word):
    """How urgent a break with this reason is by default; most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class ReasonInfo(msgspec.Struct, frozen=True, gc=False):
    """A reason in other vocabularies: its severity, its code in FIX (2773, 2774) and ISO 20022, its meaning."""

    severity: Severity
    fix_type: int
    fix_element: int | None
    iso_code: str
    meaning: str


_HIGH, _MEDIUM = Severity.HIGH, Severity.MEDIUM
_CRITICAL = Severity.CRITICAL

REASON_INFO: dict[Reason, ReasonInfo] = {
    Reason.MISSING_CONFIRMATION: ReasonInfo(_HIGH, 0, None, "CMIS", "no confirmation within the grace period"),
    Reason.MISSING_EXECUTION: ReasonInfo(
        _CRITICAL, 1, None, "CMIS", "the broker confirms a trade without an execution"
    ),
    Reason.MISSING_PNL: ReasonInfo(_MEDIUM, 3, None, "OTHR", "the required pnl snapshot is missing or incomplete"),
    Reason.FIELD_MISSING: ReasonInfo(_MEDIUM, 3, None, "OTHR", "a pnl snapshot lacks an amount that the rules ask for"),
    Reason.QUANTITY_MISMATCH: ReasonInfo(_HIGH, 4, 15, "DQUA", "the quantities differ"),
    Reason.PRICE_MISMATCH: ReasonInfo(_HIGH, 4, 2, "DDEA", "the prices differ by more than the tolerance"),
    Reason.TIMESTAMP_DRIFT: ReasonInfo(_MEDIUM, 4, 3, "OTHR", "the timestamps drift apart beyond the tolerance"),
    Reason.PNL_INCONSISTENT: ReasonInfo(_MEDIUM, 4, 11, "DMON", "pnl_impact does not follow from the trade"),
    Reason.TICKER_MISMATCH: ReasonInfo(_CRITICAL, 4, 14, "DSEC", "the instruments differ"),
    Reason.SIDE_MISMATCH: ReasonInfo(_CRITICAL, 4, 5, "DELN", "one side says bought, the other sold"),
    Reason.CURRENCY_MISMATCH: ReasonInfo(_CRITICAL, 4, 6, "NCRR", "the currencies differ"),
    Reason.ACCOUNT_MISMATCH: ReasonInfo(_HIGH, 4, 7, "INVE", "the accounts differ"),
    Reason.COUNTERPARTY_MISMATCH: ReasonInfo(_HIGH, 4, 8, "OTHR", "the counterparties differ"),
    Reason.BROKER_MISMATCH: ReasonInfo(_HIGH, 4, 8, "OTHR", "the brokers differ"),
    Reason.ORDER_ID_MISMATCH: ReasonInfo(_MEDIUM, 99, None, "OTHR", "the order ids differ"),
    Reason.COMMISSION_MISMATCH: ReasonInfo(_MEDIUM, 4, 13, "EXEC", "the commissions differ"),
    Reason.TRADE_DATE_MISMATCH: ReasonInfo(_HIGH, 4, 3, "DTRD", "the trade dates differ"),
    Reason.SETTLEMENT_DATE_MISMATCH: ReasonInfo(_HIGH, 4, 4, "DDAT", "the settlement dates differ"),
    Reason.DUPLICATE_CONFLICT: ReasonInfo(
        _HIGH, 99, None, "OTHR", "one version of a leg was sent with different contents"
    ),
    Reason.MULTIPLE_CONFIRMATIONS: ReasonInfo(_HIGH, 99, None, "OTHR", "two brokers confirm one trade"),
    Reason.CANCELLED_ONE_SIDE: ReasonInfo(_HIGH, 99, None, "CPCA", "one side cancelled, the other did not"),
    Reason.CANCEL_UNKNOWN_TRADE: ReasonInfo(_HIGH, 99, None, "MCAN", "a cancel for an unknown trade"),
    Reason.AMBIGUOUS_MATCH: ReasonInfo(_MEDIUM, 99, None, "NMAS", "several partners fit equally well"),
    Reason.GROUP_PENDING: ReasonInfo(
        _MEDIUM, 99, None, "NMAS", "a group waits, since its sides differ; no result has it"
    ),
    Reason.KEY_AMBIGUOUS: ReasonInfo(_HIGH, 99, None, "NMAS", "a cancel may be of this trade or of another one"),
    Reason.ORPHAN_LATE: ReasonInfo(_HIGH, 99, None, "OTHR", "a leg for a trade that was closed"),
    Reason.RECONCILED_ROW_CHANGED: ReasonInfo(_HIGH, 99, None, "OTHR", "a row marked reconciled has changed"),
    Reason.MANUAL_UNMATCH: ReasonInfo(_HIGH, 99, None, "OTHR", "a person undid the match"),
}
"""What every reason means. Source: DOMAIN.md 7.3."""
SINCE_ATTRIBUTES = frozenset(
    {
        Reason.FIELD_MISSING,
        Reason.SIDE_MISMATCH,
        Reason.CURRENCY_MISMATCH,
        Reason.ACCOUNT_MISMATCH,
        Reason.COUNTERPARTY_MISMATCH,
        Reason.BROKER_MISMATCH,
        Reason.ORDER_ID_MISMATCH,
        Reason.COMMISSION_MISMATCH,
        Reason.TRADE_DATE_MISMATCH,
        Reason.SETTLEMENT_DATE_MISMATCH,
    }
)
"""The reasons that came with the attribute checks."""
RESERVED = frozenset(
    {
        Reason.AMBIGUOUS_MATCH,
        Reason.MANUAL_UNMATCH,
    }
)
"""Reasons with a name and a meaning that nothing in this version gives; so they are offered nowhere."""
WAITING = frozenset({Reason.GROUP_PENDING})
"""Reasons why a trade waits. A result, which ends the waiting, never has them."""
GIVEN = tuple([reason for reason in Reason if reason not in RESERVED | WAITING])
"""The reasons that a result may have."""

HINT_MEANINGS: dict[Hint, str] = {
    Hint.LATE_CONFIRMATION: "The confirmation arrived after the grace period.",
    Hint.LATE_EXECUTION: "The execution arrived after the grace period: our own record was late.",
    Hint.SOURCE_WAS_SILENT: "The source of the missing side was silent for longer than the limit: docs/silence.md.",
    Hint.STALE_VERSION: "An older version of a leg arrived after a newer one; the newer one is effective.",
    Hint.VERSION_GAP: "A version before the effective one never arrived.",
    Hint.CANCEL_UNVERSIONED: "A cancel without a version: it cancels every version of its side.",
    Hint.DUPLICATE_IDENTICAL: "A leg was received again with the same content, and ignored.",
    Hint.ORPHAN_PNL: "A pnl snapshot for a trade without any other leg.",
    Hint.CONFIRM_BEFORE_EXECUTION: "The confirmation's timestamp is before the execution's.",
    Hint.CLOCK_SUSPECT: "Many trades with one broker drift in the same direction: one of the two clocks is wrong.",
    Hint.FUTURE_TIMESTAMP: "The timestamp is more than five minutes later than the arrival of the record.",
    Hint.TIMESTAMP_NO_TIMEZONE: "A timestamp has no time zone; the zone of its source was assumed, UTC by default.",
    Hint.LEAP_SECOND: "A timestamp has second 60; it was taken as the last instant of second 59.",
    Hint.TRADE_DATE_ROLL: "The two timestamps fall on different UTC days.",
    Hint.NORMALISED: "Blanks, lower case or a minor unit were brought to the standard form before the comparison.",
    Hint.CURRENCY_UNKNOWN: "A source that sends minor units left the currency out: the amounts were read as they are.",
    Hint.ALIAS: "The alias table maps two tickers to the same instrument.",
    Hint.CONFUSABLE: "The tickers look alike and differ: other alphabets, wide or invisible characters.",
    Hint.TICKER_CASE: "The tickers differ only in upper and lower case.",
    Hint.TOLERANCE_COVERS_PRICE: "The prices agree only by a tolerance that is as large as a price itself.",
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
    Hint.KEY_AMBIGUOUS: "A record names only the trade_id, which several trades have: it was not compared.",
    Hint.KEY_MISMATCH: "The record's key is not its trade_id; the trade_id was used.",
    Hint.FX_RATE_UNAVAILABLE: "Trade and snapshot have different currencies: not compared without an exchange rate.",
}
"""What every hint tells the reader of a trade, as a sentence."""
RESERVED_HINTS = frozenset(
    {
        Hint.STALE_VERSION,
        Hint.DUPLICATE_IDENTICAL,
        Hint.CLOCK_SUSPECT,
    }
)
"""Hints with a name and a meaning that nothing in this version gives."""

REJECT_MEANINGS: dict[RejectCode, str] = {
    RejectCode.HANDLER_ERROR: "Processing it failed with an internal error.",
    RejectCode.TOO_MANY_FACTS: "The group, or the closed trade, has as many different records as are compared.",
    RejectCode.MALFORMED_JSON: "The record is not a JSON object.",
    RejectCode.SCHEMA_INVALID: "A field has the wrong type, or the row does not match the header.",
    RejectCode.SCHEMA_UNSUPPORTED: "The record has a newer schema than this version supports.",
    RejectCode.FIELD_MISSING: "A required field is empty.",
    RejectCode.KEY_MISSING: "The record has no trade_id, or lacks a field that the rules group or refine by.",
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
"""What every reject code tells the reader of a dead letter, as a sentence."""


@lru_cache(maxsize=4_096)
def worst_severity(reasons: tuple[Reason, ...]) -> Severity | None:
    """The severity of the most urgent of them; None without a reason.

    >>> worst_severity((Reason.PRICE_MISMATCH, Reason.TIMESTAMP_DRIFT))
    <Severity.HIGH: 'high'>
    """
    return min((REASON_INFO[reason].severity for reason in reasons), key=_RANKS.__getitem__, default=None)
