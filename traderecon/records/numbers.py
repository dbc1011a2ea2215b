"""Exact decimals: the only arithmetic between the wire and the verdict."""

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import lru_cache

INTEGER_DIGITS = 18
FRACTION_DIGITS = 18
"""An amount has at most 18 digits before the point and 18 after it."""

EXACT = Context(prec=256, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
"""Wide enough for a share of a product of six amounts; a result that would have to be rounded raises instead.

Plain operators round to the ambient context (28 digits), so amounts are only computed through this one.
"""

ZERO = Decimal(0)


def canonical(value: Decimal) -> Decimal:
    """One form per value: no trailing zeros, no positive exponent, no negative zero.

    >>> canonical(Decimal("1E2")), canonical(Decimal("190.50")), canonical(Decimal("-0.0"))
    (Decimal('100'), Decimal('190.5'), Decimal('0'))
    """
    if not value:
        return ZERO
    shortest = value.normalize(EXACT)
    if shortest == shortest.to_integral_value():
        return shortest.quantize(Decimal(1), context=EXACT)
    return shortest


@lru_cache(maxsize=16_384)  # a result has each of its amounts in several places
def plain(value: Decimal) -> str:
    """The value in the fewest digits, without an exponent: one text per value.

    >>> plain(Decimal("1E-17")), plain(Decimal("0.10")), plain(Decimal("100"))
    ('0.00000000000000001', '0.1', '100')
    """
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def notional(price: Decimal, quantity: Decimal) -> Decimal:
    """|price * quantity|, exact. ArithmeticError: one of them is not a finite number.

    >>> notional(Decimal("-37.63"), Decimal("100"))
    Decimal('3763.00')
    """
    amount = EXACT.multiply(price, quantity).copy_abs()  # ``abs`` would round
    if not amount.is_finite():
        raise ArithmeticError(f"{quantity} at {price} is not a finite amount")
    return amount
