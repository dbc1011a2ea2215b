"""What befalls a trade on a hostile day: at most one of malformed rows, strange text, conflict, amend, cancel."""

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

Twist = Callable[[Trade, Sequence[int], Profile], Trade]


def twisted(trade: Trade, seed: int, index: int, profile: Profile) -> Trade:
    """The trade after what befell it, mostly nothing; what that was is added to ``planted``."""
    chance, *ways = draws(seed, index, "hostile")
    chance %= 1000
    twists: tuple[tuple[int, Twist], ...] = (
        (profile.malformed_per_mille, _malformed),
        (profile.strange_per_mille, _strange),
        (profile.conflict_per_mille, _conflicting),
        (profile.amended_per_mille, _amended),
        (profile.cancelled_per_mille, _cancelled),
    )
    for per_mille, twist in twists:
        if chance < per_mille:
            return twist(trade, ways, profile)
        chance -= per_mille
    return trade


def _malformed(trade: Trade, ways: Sequence[int], profile: Profile) -> Trade:
    """One leg never arrives: its row is malformed, and so is every repetition."""
    source = _struck(trade, ways[0]).source
    flaws = PNL_FLAWS if source is Source.PNL else TERMS_FLAWS
    flaw = flaws[ways[1] % len(flaws)]
    statements = tuple(replace(said, flaw=flaw) if said.source is source else said for said in trade.statements)
    return replace(trade, statements=statements, planted=(*trade.planted, Planted.MALFORMED))


def _strange(trade: Trade, ways: Sequence[int], profile: Profile) -> Trade:
    """Every row has an odd trade_id, or the broker's an odd ticker: legal both, and never to be executed."""
    if ways[0] % 2 and Planted.MISSING_CONFIRMATION not in trade.planted:
        ticker = _TICKERS[ways[1] % len(_TICKERS)]
        statements = tuple(
            replace(statement, said=replace(statement.said, ticker=ticker))
            if statement.source is Source.CONFIRMATIONS
            else statement
            for statement in trade.statements
        )
        return replace(trade, statements=statements, planted=(*trade.planted, Planted.STRANGE_TICKER))
    start, end = ("=1+", "") if ways[1] % 8 == 0 else ("", _ID_ENDS[ways[1] // 8 % len(_ID_ENDS)])
    return replace(trade, trade_id=f"{start}{trade.trade_id}{end}", planted=(*trade.planted, Planted.STRANGE_ID))


def _conflicting(trade: Trade, ways: Sequence[int], profile: Profile) -> Trade:
    """One leg comes once more, in the same version, with other content."""
    struck = _struck(trade, ways[0])
    rival = replace(struck, said=_altered(struck), delay_slots=_delay_slots(ways[1], profile))
    return replace(trade, statements=(*trade.statements, rival), planted=(*trade.planted, Planted.CONFLICT))


def _amended(trade: Trade, ways: Sequence[int], profile: Profile) -> Trade:
    """One leg was wrong at first, and is put right by version 2, which may well overtake version 1."""
    struck = _struck(trade, ways[0])
    first = tuple(
        replace(said, said=_altered(said)) if said.source is struck.source else said for said in trade.statements
    )
    second = replace(struck, version=2, kind=Kind.AMEND, delay_slots=_delay_slots(ways[1], profile))
    return replace(trade, statements=(*first, second), planted=(*trade.planted, Planted.AMENDED))


def _cancelled(trade: Trade, ways: Sequence[int], profile: Profile) -> Trade:
    """Every side that stated the trade takes it back; or, of two sides, only the broker."""
    sides = {said.source: said for said in trade.statements if said.source is not Source.PNL}
    one_sided = len(sides) == 2 and ways[0] % 2
    if one_sided:
        del sides[Source.EXECUTIONS]
    cancels = tuple(
        replace(said, version=2, kind=Kind.CANCEL, delay_slots=_delay_slots(way, profile))
        for said, way in zip(sides.values(), ways[1:], strict=False)
    )
    planted = Planted.CANCELLED_ONE_SIDE if one_sided else Planted.CANCELLED
    return replace(trade, statements=trade.statements + cancels, planted=(*trade.planted, planted))


def _struck(trade: Trade, way: int) -> Statement:
    return trade.statements[way % len(trade.statements)]


def _altered(statement: Statement) -> Terms | Booking:
    said = statement.said
    if isinstance(said, Terms):
        return replace(said, quantity=said.quantity + 100)
    return replace(said, pnl_mills=said.pnl_mills + 100_000)


def _delay_slots(way: int, profile: Profile) -> int:
    return way % (profile.reach_slots + 1)
