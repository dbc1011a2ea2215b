"""Timestamps: text in, UTC nanoseconds and the sender's granularity out. Never truncated, never guessed.

    2025-07-26T10:01:23.000000001Z    2025-07-26 12:01:23,5+02:00    20250726-10:01:23.000 (FIX, UTC)    epoch by unit

Source: DOMAIN.md 5.
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from traderecon.intake.blanks import trim
from traderecon.intake.decode_error import DecodeError
from traderecon.records import Hint, RejectCode
from traderecon.records.instants import NS_PER_S
from traderecon.records.numbers import EXACT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CIVIL = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)", re.ASCII)
_TAIL = re.compile(r"(?:[.,](\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?", re.ASCII)
_FIX = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d:\d\d:\d\d)(.*)", re.ASCII | re.DOTALL)
_EPOCH_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_MAX_TEXT = 64


class EpochUnit(Enum):
    """What a bare number counts since 1970; the value is its power of ten in seconds."""

    S = 0
    MS = 3
    US = 6
    NS = 9


class Form(msgspec.Struct, frozen=True):
    """What a source leaves out of its timestamps: the zone of a naive one, the unit of a bare number.

    ``granularity``: the fraction digits that its clock has, where it adds zeros to them or leaves zeros out.
    """

    naive_zone: str = "UTC"
    epoch_unit: EpochUnit | None = None
    granularity: int | None = None


class Instant(msgspec.Struct, frozen=True, gc=False):
    """UTC nanoseconds, the number of fraction digits sent (0 to 9), and hints."""

    ns: int
    granularity: int
    hints: tuple[Hint, ...] = ()


UTC_FORM = Form()


def instant(sent: str, form: Form = UTC_FORM) -> Instant:
    """Read one timestamp.

    >>> instant("2025-07-26T10:01:23.1Z")
    Instant(ns=1753524083100000000, granularity=1, hints=())

    Rejects with TIMESTAMP_UNPARSEABLE, TIMESTAMP_INVALID (no such moment), TIMESTAMP_AMBIGUOUS (a clock change),
    NUMBER_PRECISION_EXCEEDED (finer than a nanosecond).
    """
    text = trim(sent)
    if len(text) > _MAX_TEXT:
        raise DecodeError(RejectCode.TIMESTAMP_UNPARSEABLE, f"send at most {_MAX_TEXT} characters")
    if text[4:5] != "-":
        if fix := _FIX.fullmatch(text):
            year, month, day, clock, tail = fix.groups()
            zoned = set(tail) & set("Zz+-")
            return _calendar(f"{year}-{month}-{day}T{clock}", tail if zoned else tail + "Z", form)
        if _EPOCH_NUMBER.fullmatch(text):
            return _since_epoch(text, form)
    return _calendar(text[:19], text[19:], form)


def _calendar(civil: str, tail: str, form: Form) -> Instant:
    """The instant of a date and time as written, and what follows the seconds."""
    second, leap = _second(civil)
    fraction_ns, granularity, offset_s = _tail(tail)
    hints: tuple[Hint, ...] = ()
    if offset_s is None:
        offset_s = 0 if form.naive_zone == "UTC" else second - _from_zone(second, form.naive_zone)
        hints = (Hint.TIMESTAMP_NO_TIMEZONE,)
    epoch_s = second - offset_s
    ns = _in_range(epoch_s * NS_PER_S + fraction_ns)
    if leap:
        _require_leap_second(epoch_s)
        # The last nanosecond of the minute: order is kept, and no second is counted twice.
        ns = epoch_s * NS_PER_S + NS_PER_S - 1
        hints = (Hint.LEAP_SECOND, *hints)
    if form.granularity is not None:
        granularity = _declared(ns, granularity, form.granularity)
    return Instant(ns, granularity, hints)


def _declared(ns: int, sent: int, declared: int) -> int:
    """The declared granularity; the one sent if a digit beyond the declared ones is not zero."""
    return sent if ns % 10 ** (9 - declared) else declared


def _in_range(ns: int) -> int:
    if not 0 < ns < 2**63:
        raise DecodeError(RejectCode.TIMESTAMP_INVALID, "send a moment after 1970-01-01T00:00:00Z and before 2262")
    return ns


@lru_cache(maxsize=65_536)
def _second(civil: str) -> tuple[int, bool]:
    """Whole seconds since 1970, read as UTC; a 60th second as the 59th, and True."""
    match = _CIVIL.fullmatch(civil)
    if not match:
        raise DecodeError(
            RejectCode.TIMESTAMP_UNPARSEABLE,
            "send ISO 8601 like 2025-07-26T10:01:23.000Z",
        )
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    leap = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, second - leap, tzinfo=UTC)
    except ValueError:
        raise DecodeError(RejectCode.TIMESTAMP_INVALID, "there is no such date or time") from None
    return (moment - _EPOCH) // timedelta(seconds=1), leap


@lru_cache(maxsize=65_536)
def _tail(tail: str) -> tuple[int, int, int | None]:
    """Nanoseconds, fraction digits, and the offset from UTC in seconds (None: naive)."""
    match = _TAIL.fullmatch(tail)
    if not match:
        raise DecodeError(RejectCode.TIMESTAMP_UNPARSEABLE, "send the time as 10:01:23.000Z, with Z or +02:00 after it")
    fraction, zulu, sign, hours, minutes = match.groups(default="")
    if fraction[9:].strip("0"):
        raise DecodeError(RejectCode.NUMBER_PRECISION_EXCEEDED, "send at most nine fraction digits")
    fraction = fraction[:9]
    offset_s: int | None = None
    if zulu:
        offset_s = 0
    elif sign:
        if int(hours) > 15 or int(minutes or 0) > 59:
            raise DecodeError(RejectCode.TIMESTAMP_INVALID, "send an offset from UTC of at most 15:59")
        offset_s = (int(hours) * 3600 + int(minutes or 0) * 60) * (-1 if sign == "-" else 1)
    return int(fraction.ljust(9, "0")), len(fraction), offset_s


def _from_zone(second: int, zone: str) -> int:
    """The UTC second at which clocks in the zone show this one. Raises DecodeError if that is twice or never."""
    _in_range(second * NS_PER_S)
    wall = (_EPOCH + timedelta(seconds=second)).replace(tzinfo=ZoneInfo(zone))
    readings = {
        moment
        for moment in ((wall.replace(fold=fold)).astimezone(UTC) for fold in (0, 1))
        if moment.astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None)
    }
    if not readings:
        raise DecodeError(RejectCode.TIMESTAMP_INVALID, f"no clock in {zone} showed this time: it was set forward")
    if len(readings) > 1:
        raise DecodeError(RejectCode.TIMESTAMP_AMBIGUOUS, f"clocks in {zone} showed this time twice: send the offset")
    return (readings.pop() - _EPOCH) // timedelta(seconds=1)


def _require_leap_second(epoch_s: int) -> None:
    """Leap seconds end a month, at 23:59:60 UTC; elsewhere a 60th second is a mistake."""
    moment = _EPOCH + timedelta(seconds=epoch_s)
    last_day = monthrange(moment.year, moment.month)[1]
    if (moment.day, moment.hour, moment.minute) != (last_day, 23, 59):
        raise DecodeError(RejectCode.TIMESTAMP_INVALID, "a 60th second ends only the last minute of a month, in UTC")


def _since_epoch(text: str, form: Form) -> Instant:
    if (unit := form.epoch_unit) is None:
        raise DecodeError(
            RejectCode.TIMESTAMP_UNPARSEABLE,
            "a bare number may be s, ms, us or ns since 1970: send ISO 8601 like 2025-07-26T10:01:23.000Z",
        )
    ns = EXACT.scaleb(Decimal(text), 9 - unit.value)
    if ns != ns.to_integral_value():
        raise DecodeError(RejectCode.NUMBER_PRECISION_EXCEEDED, "send whole nanoseconds at most")
    granularity = min(9, unit.value + len(text.partition(".")[2]))
    if form.granularity is not None:
        granularity = _declared(int(ns), granularity, form.granularity)
    return Instant(_in_range(int(ns)), granularity)
