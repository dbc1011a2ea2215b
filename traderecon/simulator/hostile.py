"""Faults of a hostile day: at most one per trade of malformed row, strange text, conflict, amendment, cancellation."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from traderecon.records import Kind, Source
from traderecon.simulator.draws import draws
from traderecon.simulator.flaws import PNL_FLAWS, TERMS_FLAWS
from traderecon.simulator.profiles import Profile
from traderecon.simulator.statements import Booking, Planted, Statement, Terms, Trade

_TICKERS = (
    '=HYPERLINK("http://example.com","click")',
    "<script>alert(1)</script>",
    "'; DROP TABLE results; --",
    "@SUM(A1:A9)",
    "+1+1",
    "\uff21\uff21\uff30\uff2c",  # full-width AAPL
    "T" * 300,
)

_ID_ENDS = ("é", "東京", "🙂", "\u202eltr", "<b>", "&amp;", "'--", '"quoted"', ",comma", "/../..", "%00")

Fault = Callable[[Trade, Sequence[int], Profile], Trade]


def add_hostile_fault(trade: Trade, seed: int, index: int, profile: Profile) -> Trade:
    """The trade with at most one hostile fault, mostly none; the fault is added to ``planted``."""
    chance, *numbers = draws(seed, index, "hostile")
    chance %= 1000
    faults: tuple[tuple[int, Fault], ...] = (
        (profile.malformed_per_mille, _malform),
        (profile.strange_per_mille, _make_strange),
        (profile.conflict_per_mille, _add_conflict),
        (profile.amended_per_mille, _amend),
        (profile.cancelled_per_mille, _cancel),
    )
    for per_mille, add_fault in faults:
        if chance < per_mille:
            return add_fault(trade, numbers, profile)
        chance -= per_mille
    return trade


def _malform(trade: Trade, numbers: Sequence[int], profile: Profile) -> Trade:
    """One leg never arrives: its row is malformed, and so are its repetitions."""
    source = _choose(trade, numbers[0]).source
    flaws = PNL_FLAWS if source is Source.PNL else TERMS_FLAWS
    flaw = flaws[numbers[1] % len(flaws)]
    statements = tuple(
        replace(statement, flaw=flaw) if statement.source is source else statement for statement in trade.statements
    )
    return replace(trade, statements=statements, planted=(*trade.planted, Planted.MALFORMED))


def _make_strange(trade: Trade, numbers: Sequence[int], profile: Profile) -> Trade:
    """Every row has an odd trade_id, or the broker's an odd ticker: both are valid, and must never be executed."""
    if numbers[0] % 2 and Planted.MISSING_CONFIRMATION not in trade.planted:
        ticker = _TICKERS[numbers[1] % len(_TICKERS)]
        statements = tuple(
            replace(statement, content=replace(statement.content, ticker=ticker))
            if statement.source is Source.CONFIRMATIONS
            else statement
            for statement in trade.statements
        )
        return replace(trade, statements=statements, planted=(*trade.planted, Planted.STRANGE_TICKER))
    start, end = ("=1+", "") if numbers[1] % 8 == 0 else ("", _ID_ENDS[numbers[1] // 8 % len(_ID_ENDS)])
    return replace(trade, trade_id=f"{start}{trade.trade_id}{end}", planted=(*trade.planted, Planted.STRANGE_ID))


def _add_conflict(trade: Trade, numbers: Sequence[int], profile: Profile) -> Trade:
    """One leg is sent again in the same version with different content."""
    original = _choose(trade, numbers[0])
    conflict = replace(original, content=_alter(original), delay_slots=_delay_slots(numbers[1], profile))
    return replace(trade, statements=(*trade.statements, conflict), planted=(*trade.planted, Planted.CONFLICT))


def _amend(trade: Trade, numbers: Sequence[int], profile: Profile) -> Trade:
    """One leg is wrong in version 1 and corrected by version 2, which may arrive first."""
    correct = _choose(trade, numbers[0])
    first = tuple(
        replace(statement, content=_alter(statement)) if statement.source is correct.source else statement
        for statement in trade.statements
    )
    second = replace(correct, version=2, kind=Kind.AMEND, delay_slots=_delay_slots(numbers[1], profile))
    return replace(trade, statements=(*first, second), planted=(*trade.planted, Planted.AMENDED))


def _cancel(trade: Trade, numbers: Sequence[int], profile: Profile) -> Trade:
    """Every side cancels the trade; or, of two sides, only the broker."""
    sides = {statement.source: statement for statement in trade.statements if statement.source is not Source.PNL}
    one_sided = len(sides) == 2 and numbers[0] % 2
    if one_sided:
        del sides[Source.EXECUTIONS]
    cancels = tuple(
        replace(statement, version=2, kind=Kind.CANCEL, delay_slots=_delay_slots(number, profile))
        for statement, number in zip(sides.values(), numbers[1:], strict=False)
    )
    planted = Planted.CANCELLED_ONE_SIDE if one_sided else Planted.CANCELLED
    return replace(trade, statements=trade.statements + cancels, planted=(*trade.planted, planted))


def _choose(trade: Trade, number: int) -> Statement:
    return trade.statements[number % len(trade.statements)]


def _alter(statement: Statement) -> Terms | Booking:
    content = statement.content
    if isinstance(content, Terms):
        return replace(content, quantity=content.quantity + 100)
    return replace(content, pnl_mills=content.pnl_mills + 100_000)


def _delay_slots(number: int, profile: Profile) -> int:
    return number % (profile.reach_slots + 1)
