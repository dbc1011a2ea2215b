"""A rules file: TOML -> Rules. What the file does not name stays as in the founding rules.

    name = "desk-7"
    grace_seconds = 60
    pnl_required = false

    [checks]
    ticker = false                          # a check that is off

    [checks.price]                          # or absolute = "0.005", percent = "2", below = "0" with above = "0.01"
    tolerance = { basis_points = "1", base = "execution", bound = "strict" }

    [checks.timestamp]
    tolerance_ms = "2"
    precision = "granularity_aware"

Numbers may be strings or TOML numbers; both are read as exact decimals.
"""

import tomllib
from decimal import Decimal

import msgspec

from traderecon.records.instants import NS_PER_MS, NS_PER_S
from traderecon.records.numbers import EXACT, FRACTION_DIGITS, INTEGER_DIGITS, ZERO, canonical
from traderecon.rules.drift import Precision, Timestamp
from traderecon.rules.pnl import Pnl
from traderecon.rules.rules import FOUNDING, Rule, Rules
from traderecon.rules.terms import Price, Quantity
from traderecon.rules.tolerance import Absolute, Band, Base, Bound, Relative, Tolerance
from traderecon.rules.wording import explained

_LONGEST_GRACE_S = 31_536_000
_PER_CENT, _PER_BASIS_POINT = Decimal("0.01"), Decimal("0.0001")


class RulesError(ValueError):
    """A rules file that cannot be used: where, what was found, what to write."""


class _Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: a misspelt name is refused, never ignored."""


class _ToleranceWish(_Wish, frozen=True):
    absolute: Decimal | None = None
    percent: Decimal | None = None
    basis_points: Decimal | None = None
    below: Decimal | None = None
    above: Decimal | None = None
    base: Base = Base.EXECUTION
    bound: Bound = Bound.INCLUSIVE


class _AmountWish(_Wish, frozen=True):
    tolerance: _ToleranceWish


class _TimestampWish(_Wish, frozen=True):
    tolerance_ms: Decimal = Decimal(100)
    bound: Bound = Bound.INCLUSIVE
    precision: Precision = Precision.EXACT


class _Checks(_Wish, frozen=True):
    ticker: bool = True
    quantity: bool | _AmountWish = True
    price: bool | _AmountWish = True
    timestamp: bool | _TimestampWish = True
    pnl: bool | _AmountWish = True


class _File(_Wish, frozen=True):
    name: str
    checks: _Checks = _Checks()
    grace_seconds: Decimal = Decimal(60)
    pnl_required: bool = False


def parse_rules(text: str) -> Rules:
    """Read a rules file, with a byte order mark or without; RulesError for anything it should not have."""
    try:
        file = msgspec.convert(tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal), _File)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(str(error)) from None
    except msgspec.ValidationError as error:
        raise RulesError(explained(str(error), _File)) from None
    checks = tuple(rule for founding in FOUNDING.checks if (rule := _changed(founding, file.checks)) is not None)
    if not file.name.strip():
        raise RulesError("name is blank: results say by it which rules spoke")
    if not checks:
        raise RulesError("every check is off: every pair would match")
    if file.grace_seconds > _LONGEST_GRACE_S:
        raise RulesError(f"grace_seconds is {file.grace_seconds}: write at most {_LONGEST_GRACE_S}, a year")
    if file.pnl_required and not file.checks.pnl:
        raise RulesError("pnl_required, and the pnl check is off: a trade would wait for what nobody looks at")
    return Rules(
        name=file.name.strip(),
        checks=checks,
        grace_ns=_whole_ns(file.grace_seconds, NS_PER_S, "grace_seconds"),
        pnl_required=file.pnl_required,
    )


def _changed(rule: Rule, checks: _Checks) -> Rule | None:
    """The founding rule as the file wants it; None when it is off."""
    wish = getattr(checks, rule.name)
    if wish is False:
        return None
    if isinstance(rule, Quantity | Price | Pnl) and isinstance(wish, _AmountWish):
        return msgspec.structs.replace(rule, tolerance=_tolerance(wish.tolerance, f"checks.{rule.name}.tolerance"))
    if isinstance(wish, _TimestampWish):
        tolerance_ns = _whole_ns(wish.tolerance_ms, NS_PER_MS, "checks.timestamp.tolerance_ms")
        return Timestamp(tolerance_ns=tolerance_ns, bound=wish.bound, precision=wish.precision)
    return rule


def _tolerance(wish: _ToleranceWish, place: str) -> Tolerance:
    sizes = {
        name: _size(getattr(wish, name), f"{place}.{name}")
        for name in ("absolute", "percent", "basis_points", "below", "above")
        if getattr(wish, name) is not None
    }
    match sizes:
        case {"absolute": amount} if len(sizes) == 1:
            return Absolute(amount=amount, bound=wish.bound)
        case {"percent": share} if len(sizes) == 1:
            return Relative(share=canonical(EXACT.multiply(share, _PER_CENT)), base=wish.base, bound=wish.bound)
        case {"basis_points": share} if len(sizes) == 1:
            return Relative(share=canonical(EXACT.multiply(share, _PER_BASIS_POINT)), base=wish.base, bound=wish.bound)
        case {"below": below, "above": above} if len(sizes) == 2:
            return Band(below=below, above=above, bound=wish.bound)
    found = " and ".join(sizes) or "nothing"
    raise RulesError(f"{place} has {found}: write absolute, or percent, or basis_points, or below and above")


def _size(number: Decimal, place: str) -> Decimal:
    """A finite number of zero or more, small and short enough to stay exact in every sum."""
    if not number.is_finite() or number < ZERO or len(number.as_tuple().digits) > INTEGER_DIGITS:
        raise RulesError(f"{place} is {number}: write a number of zero or more, of at most {INTEGER_DIGITS} digits")
    if number and not -FRACTION_DIGITS <= number.adjusted() < INTEGER_DIGITS:
        raise RulesError(f"{place} is {number}: write a number between 1E-{FRACTION_DIGITS} and 1E{INTEGER_DIGITS}")
    return canonical(number)  # 0.005 and 0.0050 are the same rules


def _whole_ns(number: Decimal, unit_ns: int, place: str) -> int:
    duration_ns = EXACT.multiply(_size(number, place), Decimal(unit_ns))
    if duration_ns != duration_ns.to_integral_value():
        raise RulesError(f"{place} is {number}: a nanosecond is the finest there is")
    return int(duration_ns)
