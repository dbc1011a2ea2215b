"""The bases of the pnl check: what a snapshot's pnl_impact is expected to be, from the trade and the snapshot.

    Basis.CASH_FLOW, price 190.5, quantity 100, BUY, commission 0.5   ->   -19050.5
    Basis.REALIZED without open_price                                 ->   "open_price is absent"

Each is an expression, and ``expected`` needs only the operands of that. Source: DOMAIN.md 4.2.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from traderecon.records.directions import direction
from traderecon.records.numbers import EXACT
from traderecon.records.words import Word
from traderecon.rules.expressions import Expression

_fma = EXACT.fma


class Basis(Word):
    """What accounting books as the pnl_impact of a trade."""

    NET_CONSIDERATION = "net_consideration"
    """price * quantity - commission, whatever the side: the literal founding rule."""
    NET_CONSIDERATION_SIDED = "net_consideration_sided"
    """A seller's proceeds less commission, a buyer's cost with it."""
    CASH_FLOW = "cash_flow"
    """The same, negative for a buyer."""
    GROSS = "gross"
    """price * quantity."""
    REALIZED = "realized"
    """What closing the position at ``open_price`` gained, less commission."""
    MARK_TO_MARKET = "mark_to_market"
    """What the position is worth at ``mark_price``, less what was paid for it and commission."""
    EXPRESSION = "expression"
    """What the rules file writes: see ``expressions``."""


FORMULAS: Mapping[Basis, str] = {
    Basis.NET_CONSIDERATION: "price * quantity - commission",
    Basis.NET_CONSIDERATION_SIDED: "price * quantity - sign * commission",
    Basis.CASH_FLOW: "sign * price * quantity - commission",
    Basis.GROSS: "price * quantity",
    Basis.REALIZED: "sign * (price - open_price) * quantity - commission",
    Basis.MARK_TO_MARKET: "sign * (price - mark_price) * quantity - commission",
}
"""The expression of each basis but EXPRESSION."""


class Operands(NamedTuple):
    """What a basis may need; None was not sent. ``side`` as it was sent, ``commission`` positive where it is a cost."""

    price: Decimal | None
    quantity: Decimal | None
    side: str | None
    commission: Decimal | None
    open_price: Decimal | None
    mark_price: Decimal | None


def net_consideration(price: Decimal, quantity: Decimal, commission: Decimal) -> Decimal:
    """price * quantity - commission, exact; a commission below zero is a rebate.

    >>> net_consideration(Decimal("190.5"), Decimal(100), Decimal("0.5"))
    Decimal('19049.5')
    """
    return _fma(price, quantity, commission.copy_negate())


def expected(expression: Expression, operands: Operands) -> Decimal | str:
    """The amount, or which operand is absent.

    >>> from traderecon.rules.expressions import parse
    >>> operands = Operands(Decimal("190.5"), Decimal(100), "BUY", Decimal("0.5"), None, None)
    >>> expected(parse(FORMULAS[Basis.CASH_FLOW]), operands)
    Decimal('-19050.5')
    """
    values: dict[str, Decimal] = {}
    for name in expression.names:
        field = field_of(name)
        value = getattr(operands, field)
        if value is None:
            return f"{field} is absent"
        if name == "sign":
            value = _SIGNS.get(direction(value))
            if value is None:
                return f"side {operands.side!a} is neither a purchase nor a sale"
        values[name] = value
    return expression.evaluate(values)


def field_of(name: str) -> str:
    """The field that an operand of an expression is read from."""
    return "side" if name == "sign" else name


_SIGNS = {"BUY": Decimal(-1), "SELL": Decimal(1)}
