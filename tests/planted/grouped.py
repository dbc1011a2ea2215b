"""Orders whose fills are compared as one trade (``group_by``): how they are split, and what can be wrong with them.

fills of an order, and allocations of the same sum  ->  a cause in one of them  ->  Planted
"""

from collections.abc import Callable
from fractions import Fraction
from random import Random

from planted.causes import PRICE_LIMIT, Cells, Planted, either_way, shifted
from planted.day import BOOKED, TERMS, Columns
from planted.money import Desk, in_digits

ORDERS = Desk("orders", 'name = "orders"\ngroup_by = "order_id"\n', groups=True)
MEMBER = (*TERMS, "version", "kind", "currency", "broker", "order_id")
COLUMNS: Columns = (MEMBER, MEMBER, (*BOOKED, "order_id"))


def orders(seed: int, count: int) -> list[Planted]:
    """So many orders, every cause equally often."""
    draw = Random(seed)
    planted = []
    for number in range(count):
        order = agreed(f"O{number:06}", draw)
        cause = CAUSES[number % len(CAUSES)]
        order.cause = cause.__name__
        cause(order, draw)
        planted.append(order)
    return planted


def agreed(order_id: str, draw: Random) -> Planted:
    """Two to five fills, and one to three allocations of what they add up to, all at the average price."""
    order = Planted(order_id, {}, {}, {})
    common = {
        "order_id": order_id,
        "ticker": "AAPL",
        "timestamp": "2025-07-26T10:01:23Z",
        "currency": draw.choice(["USD", "EUR", ""]),
        "broker": draw.choice(["BRKA", "BRKB", ""]),
    }
    dear = Fraction(draw.choice([-1, 1, 1, 1]) * draw.randint(1_000, 9_000_000), 10_000)
    for number in range(draw.randint(2, 5)):
        price = dear + Fraction(draw.randint(0, 999), 10_000)
        size = Fraction(draw.randint(1, 10**9), draw.choice([10**6, 10**6, 1]))
        terms = {"trade_id": f"{order_id}-F{number}", "quantity": in_digits(size), "price": in_digits(price)}
        order.executions.append(common | terms)
    size, value = quantity_of(order.executions), value_of(order.executions)
    parts = draw.randint(1, 3)
    part = Fraction(int(size * 10**6 / parts), 10**6)
    for number in range(parts):
        allotted = size - part * (parts - 1) if number == 0 else part
        terms = {"trade_id": f"{order_id}-C{number}", "quantity": in_digits(allotted)}
        order.confirmations.append(common | terms | {"price": in_digits(round(value / size, draw.choice([4, 9, 18])))})
    return order


def quantity_of(rows: list[Cells]) -> Fraction:
    return sum((Fraction(row["quantity"]) for row in rows), Fraction(0))


def value_of(rows: list[Cells]) -> Fraction:
    return sum((Fraction(row["price"]) * Fraction(row["quantity"]) for row in rows), Fraction(0))


def book(order: Planted, off: Fraction = Fraction(0)) -> None:
    """A snapshot of every fill, the first of them wrong by an amount."""
    for fill in order.executions:
        net = Fraction(fill["price"]) * Fraction(fill["quantity"]) - Fraction(5, 2)
        snapshot = {"trade_id": fill["trade_id"], "pnl_impact": in_digits(net + off), "commission": "2.5"}
        order.snapshots.append(snapshot | {"order_id": order.trade_id})
        off = Fraction(0)


def cancelled(row: Cells) -> Cells:
    return {name: row[name] for name in ("trade_id", "order_id")} | {"kind": "cancel"}


def nothing(order: Planted, draw: Random) -> None:
    book(order)


def average_price(order: Planted, draw: Random) -> None:
    off = either_way(draw, PRICE_LIMIT + Fraction(draw.randint(1, 10_000), 10_000))
    for allocation in order.confirmations:
        shifted(allocation, "price", off)
    order.reasons.add("PRICE_MISMATCH")


def one_allocation_too_many(order: Planted, draw: Random) -> None:
    order.confirmations.append({**order.confirmations[0], "trade_id": f"{order.trade_id}-C9", "quantity": "17"})
    order.reasons.add("QUANTITY_MISMATCH")


def one_fill_unconfirmed(order: Planted, draw: Random) -> None:
    """The average of the rest is another one, which proves nothing; what accounting booked does neither."""
    book(order, Fraction(12_345))
    order.executions.append({**order.executions[0], "trade_id": f"{order.trade_id}-F9", "price": "1", "quantity": "3"})
    order.reasons.add("QUANTITY_MISMATCH")


def fill_cancelled_by_us(order: Planted, draw: Random) -> None:
    order.executions.append(cancelled(order.executions[-1]))
    order.reasons.add("QUANTITY_MISMATCH")


def extra_fill_cancelled(order: Planted, draw: Random) -> None:
    """What was cancelled counts for nothing, whatever its terms."""
    extra = {**order.executions[0], "trade_id": f"{order.trade_id}-F9", "price": "1", "quantity": "9999"}
    order.executions += [extra, cancelled(extra)]


def fill_amended(order: Planted, draw: Random) -> None:
    fill = order.executions[0]
    order.executions.append({**fill, "version": "2", "kind": "amend"})
    fill |= {"price": "1", "quantity": "9999"}


def fill_amended_into_a_break(order: Planted, draw: Random) -> None:
    fill = order.executions[0]
    more = in_digits(Fraction(fill["quantity"]) + Fraction(1, 10**6))
    order.executions.append({**fill, "version": "2", "kind": "amend", "quantity": more})
    order.reasons.add("QUANTITY_MISMATCH")


def fill_sent_twice(order: Planted, draw: Random) -> None:
    order.executions.append(dict(order.executions[0]))


def fill_with_two_prices(order: Planted, draw: Random) -> None:
    """The order is worth as much as with the dearer of them."""
    fill = order.executions[-1]
    order.executions.append({**fill, "price": in_digits(Fraction(fill["price"]) * Fraction(draw.choice([1, 4]), 2))})
    order.reasons.add("DUPLICATE_CONFLICT")


def only_fills(order: Planted, draw: Random) -> None:
    order.confirmations.clear()
    order.state = "UNMATCHED"
    order.reasons.add("MISSING_CONFIRMATION")


def only_allocations(order: Planted, draw: Random) -> None:
    order.executions.clear()
    order.state = "UNMATCHED"
    order.reasons.add("MISSING_EXECUTION")


def pnl_wrong(order: Planted, draw: Random) -> None:
    book(order, either_way(draw, Fraction(draw.choice([2, 54_321]))))
    order.reasons.add("PNL_INCONSISTENT")


def pnl_of_some_fills(order: Planted, draw: Random) -> None:
    book(order, Fraction(1_000))
    order.snapshots.pop()


def other_ticker(order: Planted, draw: Random) -> None:
    for allocation in order.confirmations:
        allocation["ticker"] = "ZZZT"
    order.reasons.add("TICKER_MISMATCH")


def one_fill_of_another_ticker(order: Planted, draw: Random) -> None:
    order.executions[0]["ticker"] = "ZZZT"
    order.reasons.add("DUPLICATE_CONFLICT")


def other_currency(order: Planted, draw: Random) -> None:
    for rows, currency in ((order.executions, "JPY"), (order.confirmations, "CHF")):
        for row in rows:
            row["currency"] = currency
    order.reasons.add("CURRENCY_MISMATCH")


def last_fill_late(order: Planted, draw: Random) -> None:
    order.executions[-1]["timestamp"] = "2025-07-26T10:01:23.100000001Z"
    order.reasons.add("TIMESTAMP_DRIFT")


def fills_of_two_brokers(order: Planted, draw: Random) -> None:
    """Members may differ in it, so nothing is compared; the order is in no broker's account."""
    order.executions[0]["broker"], order.executions[1]["broker"] = "BRKY", "BRKZ"


def cancelled_by_both(order: Planted, draw: Random) -> None:
    order.executions += [cancelled(row) for row in order.executions]
    order.confirmations += [cancelled(row) for row in order.confirmations]
    order.state = "CANCELLED"


def cancelled_by_them(order: Planted, draw: Random) -> None:
    order.confirmations += [cancelled(row) for row in order.confirmations]
    order.reasons.add("CANCELLED_ONE_SIDE")


CAUSES: tuple[Callable[[Planted, Random], None], ...] = (
    nothing,
    average_price,
    one_allocation_too_many,
    one_fill_unconfirmed,
    fill_cancelled_by_us,
    extra_fill_cancelled,
    fill_amended,
    fill_amended_into_a_break,
    fill_sent_twice,
    fill_with_two_prices,
    only_fills,
    only_allocations,
    pnl_wrong,
    pnl_of_some_fills,
    other_ticker,
    one_fill_of_another_ticker,
    other_currency,
    last_fill_late,
    fills_of_two_brokers,
    cancelled_by_both,
    cancelled_by_them,
)
