"""Causes: what can be wrong with a trade, each planted in the rows of one deal, with the verdict it must lead to.

    deal, draw  ->  cause  ->  Planted(rows, state, reasons)

A cause starts from a deal on which both sides agree. What a cause says here it says of the founding rules; ``verdict``
leaves out what a desk does not compare.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random

from planted.money import Desk, Sent, in_digits

Cells = dict[str, str]

PRICE_LIMIT = Fraction(5, 1000)
DRIFT_NS = 100_000_000
PNL_LIMIT = Fraction(1)


@dataclass
class Planted:
    """A trade as it is being planted: what each side sends first, whatever is sent beside it, and the verdict."""

    trade_id: str
    ours: Cells
    theirs: Cells
    booked: Cells
    executions: list[Cells] = field(default_factory=list)
    confirmations: list[Cells] = field(default_factory=list)
    snapshots: list[Cells] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    state: str = ""
    cause: str = ""

    @property
    def sent(self) -> Sent:
        return Sent(self.executions, self.confirmations, self.snapshots)


def verdict(planted: Planted, desk: Desk) -> tuple[str, list[str]]:
    """The state and the reasons that this desk must come to."""
    reasons = planted.reasons - (set() if desk.compares_prices else {"PRICE_MISMATCH"})
    if planted.cause == "confirmation_with_two_prices" and not desk.compares_prices:
        reasons = set()
    if planted.cause == "execution_with_two_multipliers" and desk.books_multiplied:
        reasons = {"DUPLICATE_CONFLICT"}
    return planted.state or ("MISMATCHED" if reasons else "MATCHED"), sorted(reasons)


def shifted(cells: Cells, name: str, by: Fraction) -> None:
    cells[name] = in_digits(Fraction(cells[name]) + by)


def either_way(draw: Random, amount: Fraction) -> Fraction:
    return amount if draw.random() < 0.5 else -amount


def nothing(planted: Planted, draw: Random) -> None:
    """The sides agree."""


def price_within_tolerance(planted: Planted, draw: Random) -> None:
    off = draw.choice([PRICE_LIMIT, PRICE_LIMIT, Fraction(draw.randint(1, 50), 10_000)])
    shifted(planted.theirs, "price", either_way(draw, off))


def price_beyond_tolerance(planted: Planted, draw: Random) -> None:
    off = draw.choice([PRICE_LIMIT + Fraction(1, 10_000), Fraction(draw.randint(51, 90_000), 10_000), Fraction(1000)])
    shifted(planted.theirs, "price", either_way(draw, off))
    planted.reasons.add("PRICE_MISMATCH")


def price_just_beyond_tolerance(planted: Planted, draw: Random) -> None:
    shifted(planted.theirs, "price", either_way(draw, PRICE_LIMIT + Fraction(1, 10 ** draw.randint(5, 18))))
    planted.reasons.add("PRICE_MISMATCH")


def quantity(planted: Planted, draw: Random) -> None:
    shifted(planted.theirs, "quantity", Fraction(draw.choice([1, 7, 100])))
    planted.reasons.add("QUANTITY_MISMATCH")


def last_digit_of_quantity(planted: Planted, draw: Random) -> None:
    shifted(planted.theirs, "quantity", Fraction(1, 10**18))
    planted.reasons.add("QUANTITY_MISMATCH")


def price_and_quantity(planted: Planted, draw: Random) -> None:
    price_beyond_tolerance(planted, draw)
    quantity(planted, draw)


def tolerated_price_and_quantity(planted: Planted, draw: Random) -> None:
    price_within_tolerance(planted, draw)
    quantity(planted, draw)


def late_clock(planted: Planted, draw: Random) -> None:
    planted.theirs["timestamp"] = "2025-07-26T10:01:23.100000001Z"
    planted.reasons.add("TIMESTAMP_DRIFT")


def clock_at_the_limit(planted: Planted, draw: Random) -> None:
    planted.theirs["timestamp"] = draw.choice(["2025-07-26T10:01:23.1Z", "2025-07-26T12:01:22.900000000+02:00"])


def everything(planted: Planted, draw: Random) -> None:
    price_and_quantity(planted, draw)
    late_clock(planted, draw)
    pnl_wrong(planted, draw)


def other_ticker(planted: Planted, draw: Random) -> None:
    planted.theirs["ticker"] = "ZZZT"
    planted.reasons.add("TICKER_MISMATCH")


def other_ticker_and_price(planted: Planted, draw: Random) -> None:
    other_ticker(planted, draw)
    price_beyond_tolerance(planted, draw)


def only_executed(planted: Planted, draw: Random) -> None:
    planted.theirs.clear()
    planted.state = "UNMATCHED"
    planted.reasons.add("MISSING_CONFIRMATION")


def only_confirmed(planted: Planted, draw: Random) -> None:
    planted.ours.clear()
    planted.state = "UNMATCHED"
    planted.reasons.add("MISSING_EXECUTION")


def pnl_wrong(planted: Planted, draw: Random) -> None:
    """By the limit itself, which is too far, where the amount can be written without rounding."""
    if planted.booked:
        gross = Fraction(planted.ours["price"]) * Fraction(planted.ours["quantity"])
        limit = PNL_LIMIT if (gross * 10**17).denominator == 1 else PNL_LIMIT + Fraction(1, 10**17)
        shifted(planted.booked, "pnl_impact", either_way(draw, draw.choice([limit, Fraction(9, 4), Fraction(12345)])))
        planted.reasons.add("PNL_INCONSISTENT")


def pnl_within_tolerance(planted: Planted, draw: Random) -> None:
    if planted.booked:
        shifted(planted.booked, "pnl_impact", either_way(draw, Fraction(9999, 10_000)))


def wrong_price_booked_too(planted: Planted, draw: Random) -> None:
    """Accounting has the broker's price: one cause, two symptoms."""
    off = PRICE_LIMIT + Fraction(-(-2 // Fraction(planted.ours["quantity"])))
    shifted(planted.theirs, "price", off)
    planted.reasons.add("PRICE_MISMATCH")
    if planted.booked:
        shifted(planted.booked, "pnl_impact", round(off * Fraction(planted.ours["quantity"]), 18))
        planted.reasons.add("PNL_INCONSISTENT")


def pnl_without_a_commission(planted: Planted, draw: Random) -> None:
    pnl_wrong(planted, draw)
    planted.booked.pop("commission", None)
    planted.reasons.clear()


def sent_twice(planted: Planted, draw: Random) -> None:
    """The same in another spelling is the same."""
    again = {**planted.ours, "timestamp": "20250726-10:01:23.000"}
    again["quantity"] += ".0" if "." not in again["quantity"] else ""
    planted.executions += [again, dict(planted.ours)]
    planted.confirmations.append(dict(planted.theirs))


def execution_with_two_prices(planted: Planted, draw: Random) -> None:
    rival = dict(planted.ours)
    shifted(rival, "price", either_way(draw, Fraction(draw.randint(1, 900), 100)))
    planted.executions.append(rival)
    planted.reasons.add("DUPLICATE_CONFLICT")


def confirmation_with_two_prices(planted: Planted, draw: Random) -> None:
    rival = dict(planted.theirs)
    shifted(rival, "price", either_way(draw, Fraction(draw.randint(1, 900), 100)))
    planted.confirmations.append(rival)
    planted.reasons.add("DUPLICATE_CONFLICT")


def confirmation_with_two_quantities(planted: Planted, draw: Random) -> None:
    rival = dict(planted.theirs)
    shifted(rival, "quantity", Fraction(5))
    planted.confirmations.append(rival)
    planted.reasons.add("DUPLICATE_CONFLICT")


def confirmation_with_two_times(planted: Planted, draw: Random) -> None:
    price_within_tolerance(planted, draw)
    planted.confirmations.append({**planted.theirs, "timestamp": "2025-07-26T10:01:23.001Z"})
    planted.reasons.add("DUPLICATE_CONFLICT")


def execution_with_two_tickers(planted: Planted, draw: Random) -> None:
    planted.executions.append({**planted.ours, "ticker": "ZZZT"})
    planted.reasons.add("DUPLICATE_CONFLICT")


def only_executed_with_two_prices(planted: Planted, draw: Random) -> None:
    execution_with_two_prices(planted, draw)
    only_executed(planted, draw)


PLAIN: tuple[Callable[[Planted, Random], None], ...] = (
    nothing,
    price_within_tolerance,
    price_beyond_tolerance,
    price_just_beyond_tolerance,
    quantity,
    last_digit_of_quantity,
    price_and_quantity,
    tolerated_price_and_quantity,
    late_clock,
    clock_at_the_limit,
    everything,
    other_ticker,
    other_ticker_and_price,
    only_executed,
    only_confirmed,
    pnl_wrong,
    pnl_within_tolerance,
    wrong_price_booked_too,
    pnl_without_a_commission,
    sent_twice,
    execution_with_two_prices,
    confirmation_with_two_prices,
    confirmation_with_two_quantities,
    confirmation_with_two_times,
    execution_with_two_tickers,
    only_executed_with_two_prices,
)
"""What the founding columns can say."""
