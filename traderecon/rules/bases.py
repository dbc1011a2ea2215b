"""The bases of the pnl check: what a snapshot's pnl_impact is expected to be, from the trade and the snapshot.

    Basis.CASH_FLOW, price 190.5, quantity 100, BUY, commission 0.5   ->   -19050.5
    Basis.REALIZED without open_price                                 ->   "open_price is absent"

Exact. ``expected`` needs only the operands of its basis. Source: DOMAIN.md 4.2.
"""

from decimal import Decimal
from typing import NamedTuple

from traderecon.records.directions import direction
from traderecon.records.numbers import EXACT
from traderecon.records.words import Word

_fma, _multiply, _subtract = EXACT.fma, EXACT.multiply, EXACT.subtract


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


def expected(basis: Basis, operands: Operands) -> Decimal | str:
    """The amount, or which operand is absent.

    >>> expected(Basis.CASH_FLOW, Operands(Decimal("190.5"), Decimal(100), "BUY", Decimal("0.5"), None, None))
    Decimal('-19050.5')
    """
    price, quantity, side, commission, open_price, mark_price = operands
    if price is None or quantity is None:
        return "price or quantity is absent"
    if basis is Basis.GROSS:
        return _multiply(price, quantity)
    if commission is None:
        return "commission is absent"
    if basis is Basis.NET_CONSIDERATION:
        return net_consideration(price, quantity, commission)
    sells = None if side is None else _SELLS.get(direction(side))
    if sells is None:
        return "side is absent" if side is None else f"side {side!a} is neither a purchase nor a sale"
    if basis is Basis.NET_CONSIDERATION_SIDED or basis is Basis.CASH_FLOW:
        if sells:
            return net_consideration(price, quantity, commission)
        cost = _fma(price, quantity, commission)
        return cost.copy_negate() if basis is Basis.CASH_FLOW else cost
    if basis is Basis.REALIZED:
        if open_price is None:
            return "open_price is absent"
        gain = _subtract(price, open_price) if sells else _subtract(open_price, price)
    else:
        if mark_price is None:
            return "mark_price is absent"
        gain = _subtract(price, mark_price) if sells else _subtract(mark_price, price)
    return net_consideration(gain, quantity, commission)


def operand_names(basis: Basis) -> tuple[str, ...]:
    """What a basis needs beside price and quantity: fields of the snapshot, and the trade's side.

    >>> operand_names(Basis.REALIZED)
    ('commission', 'side', 'open_price')
    """
    return _OPERANDS[basis]


_SELLS = {"BUY": False, "SELL": True}
_OPERANDS: dict[Basis, tuple[str, ...]] = {
    Basis.NET_CONSIDERATION: ("commission",),
    Basis.NET_CONSIDERATION_SIDED: ("commission", "side"),
    Basis.CASH_FLOW: ("commission", "side"),
    Basis.GROSS: (),
    Basis.REALIZED: ("commission", "side", "open_price"),
    Basis.MARK_TO_MARKET: ("commission", "side", "mark_price"),
}
