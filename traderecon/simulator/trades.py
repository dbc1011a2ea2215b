"""Plain trades: well formed and in their first version, most of them without a fault.

    seed, i, profile -> sixteen draws -> the execution -> the confirmation, perhaps a little off -> the booking -> Trade

Every fault has its own draw, so a trade may have several.
"""

import msgspec
from msgspec.structs import replace

from traderecon.records import Source
from traderecon.simulator.draws import draws
from traderecon.simulator.profiles import Profile
from traderecon.simulator.statements import Booking, Planted, Statement, Terms, Trade

SLOT_MS = 20
"""Time between two executions."""

START_MS = 1_753_450_200_000
"""The default execution time of trade 0: 2025-07-25T13:30:00.000Z."""

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
"""Tickers, each with the price in mills around which it is traded."""


class _Deviation(msgspec.Struct, frozen=True, gc=False):
    """Bounds of a deviation: 1 to ``tolerated``, or ``min_wrong`` to ``max_wrong``; and what each plants."""

    tolerated: int
    min_wrong: int
    max_wrong: int
    planted_tolerated: Planted
    planted_wrong: Planted


_PRICE = _Deviation(5, 6, 2_000, Planted.PRICE_TOLERATED, Planted.PRICE)  # mills
_DRIFT = _Deviation(100, 101, 5_000, Planted.DRIFT_TOLERATED, Planted.DRIFT)  # milliseconds
_PNL = _Deviation(999, 5_000, 500_000, Planted.PNL_TOLERATED, Planted.PNL)  # mills


def plain_trade(seed: int, index: int, profile: Profile, start_ms: int = START_MS) -> Trade:
    """Trade ``index`` of a day: every row well formed, every leg in its first version.

    ``start_ms``: when trade 0 was executed.
    """
    planted: list[Planted] = []
    statements: list[Statement] = []
    (
        symbol,
        lots,
        price_offset,
        fee,
        missing,
        ticker,
        quantity,
        price,
        drift,
        delay,
        has_pnl,
        pnl,
        pnl_delay,
        repeat,
        *_,
    ) = draws(seed, index, "trade")
    ours = _execution(start_ms + index * SLOT_MS, symbol, lots, price_offset)
    chance = missing % 1000 - profile.missing_execution_per_mille
    if chance < 0:
        planted.append(Planted.MISSING_EXECUTION)
    else:
        statements.append(Statement(Source.EXECUTIONS, ours))
    if 0 <= chance < profile.missing_confirmation_per_mille:
        planted.append(Planted.MISSING_CONFIRMATION)
    else:
        theirs = Terms(
            _confirmed_ticker(ours, ticker, profile, planted),
            _confirmed_quantity(ours, quantity, profile, planted),
            ours.price_mills
            + _deviate(_PRICE, price, profile.price_per_mille, profile.price_tolerated_per_mille, planted),
            ours.at_ms + _deviate(_DRIFT, drift, profile.drift_per_mille, profile.drift_tolerated_per_mille, planted),
        )
        statements.append(Statement(Source.CONFIRMATIONS, theirs, delay % (profile.delay_slots + 1)))
    if has_pnl % 1000 < profile.pnl_per_mille:
        booking = _booking(ours, fee, pnl, profile, planted)
        statements.append(Statement(Source.PNL, booking, pnl_delay % (2 * profile.delay_slots + 1)))
    else:
        planted.append(Planted.MISSING_PNL)
    rest, chance = divmod(repeat, 1000)
    if chance < profile.repeated_per_mille:
        planted.append(Planted.REPEATED)
        which, extra_slots = divmod(rest, profile.delay_slots + 1)
        first = statements[which % len(statements)]
        statements.append(replace(first, delay_slots=first.delay_slots + extra_slots))
    return Trade(f"S{seed}-{index:08d}", tuple(statements), tuple(planted))


def _execution(at_ms: int, symbol: int, lots: int, price_offset: int) -> Terms:
    """Ten to 2,000 shares within two per cent of the listed price, one in eight at a tenth of a cent."""
    ticker, listed_mills = _LISTED[symbol % len(_LISTED)]
    price_mills = listed_mills * 49 // 50 + price_offset // 8 % (listed_mills // 25)
    if price_offset % 8:
        price_mills -= price_mills % 10
    return Terms(ticker, 10 + 10 * (lots % 200), price_mills, at_ms)


def _deviate(
    deviation: _Deviation, draw: int, wrong_per_mille: int, tolerated_per_mille: int, planted: list[Planted]
) -> int:
    """A deviation in either direction, mostly 0. One wrong number in eight is off by the minimum."""
    rest, chance = divmod(draw, 1000)
    size, below = divmod(rest, 2)
    if chance < wrong_per_mille:
        planted.append(deviation.planted_wrong)
        distance = deviation.min_wrong
        if size % 8:
            distance += size // 8 % (deviation.max_wrong - deviation.min_wrong + 1)
    elif chance < wrong_per_mille + tolerated_per_mille:
        planted.append(deviation.planted_tolerated)
        distance = 1 + size % deviation.tolerated
    else:
        return 0
    return -distance if below else distance


def _confirmed_ticker(ours: Terms, draw: int, profile: Profile, planted: list[Planted]) -> str:
    rest, chance = divmod(draw, 1000)
    if chance >= profile.ticker_per_mille:
        return ours.ticker
    planted.append(Planted.TICKER)
    others = [ticker for ticker, _ in _LISTED if ticker != ours.ticker]
    return others[rest % len(others)]


def _confirmed_quantity(ours: Terms, draw: int, profile: Profile, planted: list[Planted]) -> int:
    """If wrong: up to a hundred shares more, or fewer if there are enough."""
    rest, chance = divmod(draw, 1000)
    if chance >= profile.quantity_per_mille:
        return ours.quantity
    planted.append(Planted.QUANTITY)
    shares = 1 + rest // 2 % 100
    return ours.quantity - shares if rest % 2 and shares < ours.quantity else ours.quantity + shares


def _booking(ours: Terms, fee: int, draw: int, profile: Profile, planted: list[Planted]) -> Booking:
    """The net consideration, price * quantity - commission; or a realised PnL of a few per cent."""
    commission_mills = 10 * (max(35, ours.quantity // 2) + fee % 50)  # half a cent a share, at least 0.35
    notional_mills = ours.price_mills * ours.quantity
    rest, chance = divmod(draw, 1000)
    if chance >= 1000 - profile.pnl_realised_per_mille:
        planted.append(Planted.PNL_REALISED)
        return Booking(notional_mills * (rest % 81 - 40) // 1000 - commission_mills, commission_mills)
    off_mills = _deviate(_PNL, draw, profile.pnl_wrong_per_mille, profile.pnl_tolerated_per_mille, planted)
    return Booking(notional_mills - commission_mills + off_mills, commission_mills)
