"""A day of planted trades: deals drawn from a seed, a cause in each, and the rows of its three files, shuffled.

Amounts have the digits of shares, of fractional shares, of energy below zero, and the most that a file allows (18
before the point and 18 after).
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

from planted.causes import PLAIN, Cells, Planted
from planted.money import Desk, Sent, in_digits
from planted.wider_causes import WIDER

TERMS = ("trade_id", "ticker", "quantity", "price", "timestamp")
WIDE = (*TERMS, "version", "kind", "side", "currency", "account", "broker", "commission", "contract_multiplier")
BOOKED = ("trade_id", "pnl_impact", "commission")
Columns = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
FOUNDING_COLUMNS: Columns = (TERMS, TERMS, BOOKED)
EVERY_COLUMN: Columns = (WIDE, WIDE, (*BOOKED, "currency"))
FILES = ("executions", "confirmations", "snapshots")
LONGEST = Fraction(10**18)


def trades(seed: int, count: int, desk: Desk, *, wide: bool) -> list[Planted]:
    """So many trades, every cause equally often; ``wide``: with every column, or the founding ones alone."""
    draw = Random(seed)
    causes = PLAIN + WIDER if wide else PLAIN
    planted = []
    for number in range(count):
        cause = causes[number % len(causes)]
        trade = deal(f"T{number:06}", draw, desk, wide=wide)
        trade.cause = cause.__name__
        cause(trade, draw)
        trade.executions += [trade.ours] * bool(trade.ours)
        trade.confirmations += [trade.theirs] * bool(trade.theirs)
        trade.snapshots += [trade.booked] * bool(trade.booked)
        planted.append(trade)
    return planted


def deal(trade_id: str, draw: Random, desk: Desk, *, wide: bool) -> Planted:
    """What both sides agree on, and what accounting books of it, if anything."""
    quantity, price = amounts(draw)
    ours = {
        "trade_id": trade_id,
        "ticker": draw.choice(["AAPL", "BRK.B", "VOD", "ES"]),
        "quantity": in_digits(quantity),
        "price": in_digits(price),
        "timestamp": "2025-07-26T10:01:23Z",
    }
    if wide:
        ours["broker"] = draw.choice(["BRKA", "BRKB", "BRKC", ""])
        ours["currency"] = draw.choice(["USD", "EUR", "JPY", "GBp", "usd", ""])
        ours["contract_multiplier"] = draw.choice(
            ["50", "0.1", "1"] if desk.books_multiplied else ["", "", "50", "0.1"]
        )
    multiplier = Fraction(ours["contract_multiplier"]) if desk.books_multiplied else Fraction(1)
    return Planted(trade_id, ours, dict(ours), booked(ours, price * quantity * multiplier, draw))


def booked(ours: Cells, gross: Fraction, draw: Random) -> Cells:
    """The snapshot of an execution; none of some trades, and of one with more digits than an amount may have."""
    commission = Fraction(draw.randint(-500, 2_000), 100)
    net = round(gross - commission, 18)
    if draw.random() < 0.2 or abs(net) + 20_000 >= LONGEST:
        return {}
    cells = {"trade_id": ours["trade_id"], "pnl_impact": in_digits(net), "commission": in_digits(commission)}
    return cells | ({"currency": ours["currency"]} if "currency" in ours else {})


def amounts(draw: Random) -> tuple[Fraction, Fraction]:
    """A quantity and a price."""
    shares, cents = Fraction(draw.randint(1, 5_000)), Fraction(draw.randint(1_000, 90_000_000), 10_000)
    kind = draw.random()
    if kind < 0.6:
        return shares, cents
    if kind < 0.75:  # fractional shares
        return Fraction(draw.randint(1, 10**12), 10**8), cents + Fraction(draw.randrange(10**12), 10**12)
    if kind < 0.85:  # energy below zero, and for nothing
        return shares, draw.choice([-cents, Fraction(0)])
    return Fraction(draw.randint(1, 10**35), 10**18), Fraction(draw.randint(-(10**35), 10**35), 10**18)


def write(folder: Path, planted: Sequence[Planted], columns: Columns, seed: int) -> None:
    """Write the three files, their rows in an order of no meaning."""
    for name, header in zip(FILES, columns, strict=True):
        rows = list(rows_of((trade.sent for trade in planted), name))
        Random(seed).shuffle(rows)
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, header, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def rows_of(sent: Iterable[Sent], name: str) -> Iterator[Cells]:
    for trade in sent:
        yield from (dict(row) for row in getattr(trade, name))
