"""One value: text in, an exact value out, or a DecodeError that says what to send instead.

Each parser is exact and bounded in time: a number is never rounded, a text never cut. Values that repeat in a feed
(tickers, quantities, prices) come from a bounded cache.
"""

import datetime
import re
from decimal import Decimal
from functools import lru_cache

from traderecon.intake.blanks import trim
from traderecon.intake.decode_error import DecodeError
from traderecon.records import ALL_VERSIONS, Kind, RejectCode
from traderecon.records.match_keys import BAR, is_full_id
from traderecon.records.numbers import FRACTION_DIGITS, INTEGER_DIGITS, ZERO, canonical

MAX_TEXT = 512
"""Characters in a trade_id or any other text."""

MAX_NUMBER = 128
"""Characters in a number; a longer one is not an amount of money."""

MAX_VERSION = ALL_VERSIONS - 1
"""The largest whole number of a database and of most languages, less one."""

NO_ID = frozenset({"n/a", "#n/a", "null", "none", "-"})
"""What spreadsheets and databases write into an empty id, in lower case: records with it are not of one trade."""
_LONGEST_NO_ID = max(map(len, NO_ID))

_DIGITS = re.compile(r"\d{1,19}", re.ASCII)
_SHORT = re.compile(rf"-?\d{{1,{INTEGER_DIGITS}}}(?:\.\d{{1,{FRACTION_DIGITS}}})?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})(?:-(?=\d\d-)|(?=\d{4}$))(\d\d)-?(\d\d)", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def number(sent: str) -> Decimal:
    """An amount, canonical and exact.

    >>> number(" 190.50 "), number("1E2")
    (Decimal('190.5'), Decimal('100'))

    Rejects with SIZE_EXCEEDED, VALUE_NOT_FINITE, SCHEMA_INVALID (not a number), VALUE_OUT_OF_RANGE,
    NUMBER_PRECISION_EXCEEDED. Source: DOMAIN.md G03 to G09.
    """
    return _number(trim(sent))


@lru_cache(maxsize=65_536)
def _number(text: str) -> Decimal:
    if _SHORT.fullmatch(text):  # within every limit below; only trailing zeros to strip
        return Decimal(text.rstrip("0").rstrip(".") if "." in text else text) or ZERO
    if len(text) > MAX_NUMBER:
        raise DecodeError(RejectCode.SIZE_EXCEEDED, f"send at most {MAX_NUMBER} characters")
    if not _NUMBER.fullmatch(text):
        if _NOT_FINITE.fullmatch(text):
            raise DecodeError(RejectCode.VALUE_NOT_FINITE, "send a finite number")
        raise DecodeError(RejectCode.SCHEMA_INVALID, "send a decimal with a point and nothing else in it")
    value = Decimal(text)
    if value and value.adjusted() >= INTEGER_DIGITS:
        raise DecodeError(RejectCode.VALUE_OUT_OF_RANGE, f"send at most {INTEGER_DIGITS} digits before the point")
    if value and value.adjusted() < -FRACTION_DIGITS:
        raise DecodeError(
            RejectCode.NUMBER_PRECISION_EXCEEDED, f"send at most {FRACTION_DIGITS} digits after the point"
        )
    value = canonical(value)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -FRACTION_DIGITS:
        raise DecodeError(
            RejectCode.NUMBER_PRECISION_EXCEEDED, f"send at most {FRACTION_DIGITS} digits after the point"
        )
    return value


def positive(sent: str) -> Decimal:
    """A quantity: above zero, since the side gives the direction."""
    value = _number(trim(sent))
    if value <= 0:
        raise DecodeError(RejectCode.VALUE_OUT_OF_RANGE, "send a quantity above zero")
    return value


def version(sent: str) -> int:
    """The version of a leg: a whole number from 0 to ``MAX_VERSION``; some feeds use the time in nanoseconds."""
    text = trim(sent)
    expected = f"send a whole number from 0 to {MAX_VERSION}"
    try:
        value = Decimal(text) if _DIGITS.fullmatch(text) else _number(text)
    except DecodeError as error:
        raise DecodeError(error.code, expected) from None
    if value != value.to_integral_value():
        raise DecodeError(RejectCode.SCHEMA_INVALID, expected)
    if not 0 <= value <= MAX_VERSION:
        raise DecodeError(RejectCode.VALUE_OUT_OF_RANGE, expected)
    return int(value)


def kind(sent: str) -> Kind:
    """The kind of a leg, in upper or lower case."""
    try:
        return Kind(trim(sent).lower())
    except ValueError:
        raise DecodeError(RejectCode.EVENT_TYPE_UNSUPPORTED, "send new, amend or cancel") from None


def text(sent: str) -> str:
    """A name or a code without the blanks around it; case and look-alike characters are unchanged."""
    return _text(trim(sent))


@lru_cache(maxsize=65_536)
def _text(value: str) -> str:
    if not value:
        raise DecodeError(RejectCode.FIELD_MISSING, "send at least one character")
    if len(value) > MAX_TEXT:
        raise DecodeError(RejectCode.SIZE_EXCEEDED, f"send at most {MAX_TEXT} characters")
    if _UNPRINTABLE.search(value):
        raise DecodeError(RejectCode.SCHEMA_INVALID, "send text without control characters")
    return value


def date(sent: str) -> str:
    """A calendar date, as ISO 8601: ``2025-07-26``, also sent as ``20250726`` (FIX).

    >>> date("20250726"), date(" 2025-07-26 ")
    ('2025-07-26', '2025-07-26')

    Rejects with TIMESTAMP_UNPARSEABLE, or TIMESTAMP_INVALID for a day that no calendar has.
    """
    return _date(trim(sent))


@lru_cache(maxsize=4_096)
def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    if match is None:
        raise DecodeError(RejectCode.TIMESTAMP_UNPARSEABLE, "send a date as 2025-07-26 or 20250726")
    try:
        return datetime.date(*map(int, match.groups(default=""))).isoformat()
    except ValueError:
        raise DecodeError(RejectCode.TIMESTAMP_INVALID, "send a day that the calendar has") from None


def key(sent: str) -> str:
    """A trade_id without the blanks around it; case, zeros and look-alike characters matter.

    Rejects with KEY_MISSING, KEY_INVALID. Source: DOMAIN.md E12 to E16, G12.
    """
    value = trim(sent)
    if not value:
        raise DecodeError(RejectCode.KEY_MISSING, "send one in every record")
    if len(value) <= _LONGEST_NO_ID and is_no_id(value):
        raise DecodeError(RejectCode.KEY_MISSING, "that is no id: send the id of the trade")
    if len(value) > MAX_TEXT:
        raise DecodeError(RejectCode.KEY_INVALID, f"send at most {MAX_TEXT} characters")
    if BAR in value and is_full_id(value):
        raise DecodeError(RejectCode.KEY_INVALID, "that is the form of an id with a match key: send the trade_id alone")
    if not (value.isascii() and value.isprintable()) and _UNPRINTABLE.search(value):
        raise DecodeError(RejectCode.KEY_INVALID, "send text without control characters")
    return value


def fold_case(value: str) -> str:
    """A text of ASCII in upper case; any other is unchanged, since its case may be no simple matter.

    >>> fold_case("aapl"), fold_case("stra\u00dfe")
    ('AAPL', 'stra\u00dfe')
    """
    return value.upper() if value.isascii() else value


def is_no_id(value: str) -> bool:
    """Whether a text without blanks around it says that there is no id.

    >>> is_no_id("N/A"), is_no_id("Null"), is_no_id("T-1")
    (True, True, False)
    """
    return value.lower() in NO_ID
