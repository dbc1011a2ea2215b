"""Trades: what happens in one, well formed and in its first version; most hold nothing unusual.

    seed, i, profile -> sixteen draws -> our terms -> the broker's, a little off -> the booking -> Trade

Every fault has its own draw: a trade may well hold several.
"""

import msgspec
from msgspec.structs import replace

from traderecon.records import Source
from traderecon.simulator.draws import draws
from traderecon.simulator.profiles import Profile
from traderecon.simulator.statements import Booking, Planted, Statement, Terms, Trade

SLOT_MS = 20
"""A trade is executed every so many milliseconds."""

START_MS = 1_753_450_200_000
"""The execution of trade 0, unless the caller names another day: 2025-07-25T13:30:00.000Z."""

_LISTED: tuple[tuple[str, int], ...] = (
    ("AAPL", 213_880),
    ("AMZN", 231_440),
    ("BRK.B", 484_070),
    ("F", 11_470),
    ("GOOGL", 193_180),
    ("JPM", 298_620),
    ("KO", 69_170),
    ("META", 712_680),
    ("MSFT", 513_710),
    ("NVDA", 173_500),
    ("TSLA", 316_060),
    ("XOM", 110_790),
)
"""Tickers, and the price in mills around which each is traded."""


class _Span(msgspec.Struct, frozen=True, gc=False):
    """How far off a number may be: 1 to ``tolerated``, or ``wrong_least`` to ``wrong_most``; and what to call it."""

    tolerated: int
    wrong_least: int
    wrong_most: int
    as_tolerated: Planted
    as_wrong: Planted


_PRICE = _Span(5, 6, 2_000, Planted.PRICE_TOLERATED, Planted.PRICE)  # mills
_DRIFT = _Span(100, 101, 5_000, Planted.DRIFT_TOLERATED, Planted.DRIFT)  # milliseconds
_PNL = _Span(999, 5_000, 500_000, Planted.PNL_TOLERATED, Planted.PNL)  # mills


def plain_trade(seed: int, index: int, profile: Profile, start_ms: int = START_MS) -> Trade:
    """Trade ``index`` of a day: every row well formed, every leg in its first version.

    ``start_ms``: when trade 0 was executed.
    """
    planted: list[Planted] = []
    statements: list[Statement] = []
    listed, lots, near, fee, missing, ticker, quantity, price, drift, sent, has_pnl, pnl, booked, again, _, _ = draws(
        seed, index, "trade"
    )
    ours = _executed(start_ms + index * SLOT_MS, listed, lots, near)
    gone = missing % 1000 - profile.missing_execution_per_mille
    if gone < 0:
        planted.append(Planted.MISSING_EXECUTION)
    else:
        statements.append(Statement(Source.EXECUTIONS, ours))
    if 0 <= gone < profile.missing_confirmation_per_mille:
        planted.append(Planted.MISSING_CONFIRMATION)
    else:
        theirs = Terms(
            _other_ticker(ours, ticker, profile, planted),
            _other_quantity(ours, quantity, profile, planted),
            ours.price_mills + _off(_PRICE, price, profile.price_per_mille, profile.price_tolerated_per_mille, planted),
            ours.at_ms + _off(_DRIFT, drift, profile.drift_per_mille, profile.drift_tolerated_per_mille, planted),
        )
        statements.append(Statement(Source.CONFIRMATIONS, theirs, sent % (profile.delay_slots + 1)))
    if has_pnl % 1000 < profile.pnl_per_mille:
        booking = _booked(ours, fee, pnl, profile, planted)
        statements.append(Statement(Source.PNL, booking, booked % (2 * profile.delay_slots + 1)))
    else:
        planted.append(Planted.MISSING_PNL)
    much, chance = divmod(again, 1000)
    if chance < profile.repeated_per_mille:
        planted.append(Planted.REPEATED)
        which, later = divmod(much, profile.delay_slots + 1)
        first = statements[which % len(statements)]
        statements.append(replace(first, delay_slots=first.delay_slots + later))
    return Trade(f"S{seed}-{index:08d}", tuple(statements), tuple(planted))


def _executed(at_ms: int, listed: int, lots: int, near: int) -> Terms:
    """Ten to 2,000 shares within two per cent of the listed price, one in eight at a tenth of a cent."""
    ticker, around_mills = _LISTED[listed % len(_LISTED)]
    price_mills = around_mills * 49 // 50 + near // 8 % (around_mills // 25)
    if near % 8:
        price_mills -= price_mills % 10
    return Terms(ticker, 10 + 10 * (lots % 200), price_mills, at_ms)


def _off(span: _Span, draw: int, wrong_per_mille: int, tolerated_per_mille: int, planted: list[Planted]) -> int:
    """How far off to be, in either direction: mostly 0. One wrong number in eight is the least wrong there is."""
    much, chance = divmod(draw, 1000)
    far, below = divmod(much, 2)
    if chance < wrong_per_mille:
        planted.append(span.as_wrong)
        distance = span.wrong_least
        if far % 8:
            distance += far // 8 % (span.wrong_most - span.wrong_least + 1)
    elif chance < wrong_per_mille + tolerated_per_mille:
        planted.append(span.as_tolerated)
        distance = 1 + far % span.tolerated
    else:
        return 0
    return -distance if below else distance


def _other_ticker(ours: Terms, draw: int, profile: Profile, planted: list[Planted]) -> str:
    much, chance = divmod(draw, 1000)
    if chance >= profile.ticker_per_mille:
        return ours.ticker
    planted.append(Planted.TICKER)
    others = [ticker for ticker, _ in _LISTED if ticker != ours.ticker]
    return others[much % len(others)]


def _other_quantity(ours: Terms, draw: int, profile: Profile, planted: list[Planted]) -> int:
    """Up to a hundred shares more, or fewer where there are as many."""
    much, chance = divmod(draw, 1000)
    if chance >= profile.quantity_per_mille:
        return ours.quantity
    planted.append(Planted.QUANTITY)
    shares = 1 + much // 2 % 100
    return ours.quantity - shares if much % 2 and shares < ours.quantity else ours.quantity + shares


def _booked(ours: Terms, fee: int, draw: int, profile: Profile, planted: list[Planted]) -> Booking:
    """The net consideration, price * quantity - commission; or what was gained since the purchase, a few per cent."""
    commission_mills = 10 * (max(35, ours.quantity // 2) + fee % 50)  # half a cent a share, at least 0.35
    notional_mills = ours.price_mills * ours.quantity
    much, chance = divmod(draw, 1000)
    if chance >= 1000 - profile.pnl_realised_per_mille:
        planted.append(Planted.PNL_REALISED)
        return Booking(notional_mills * (much % 81 - 40) // 1000 - commission_mills, commission_mills)
    off_mills = _off(_PNL, draw, profile.pnl_wrong_per_mille, profile.pnl_tolerated_per_mille, planted)
    return Booking(notional_mills - commission_mills + off_mills, commission_mills)
