"""Edges: files that lie near every edge of what the screen takes for plain and of what rules allow, and such rules.

    days() -> {source: bytes of its file}      rule_sets() -> Rules

Amounts are whole units of 0.0001, instants whole nanoseconds, so nothing here rounds.
"""

from collections.abc import Sequence
from decimal import Decimal

from batches import PLAIN, file_of
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from strategies import iso

from traderecon.records import Source
from traderecon.rules import (
    Absolute,
    Band,
    Base,
    Bound,
    Capped,
    Override,
    Pnl,
    Precision,
    Price,
    Quantity,
    Relative,
    Rule,
    Rules,
    Ticker,
    Timestamp,
    Tolerance,
)

UNIT = 10_000
MOST_PRICE = 10**10 - 1
MOST_QUANTITY = 10**8 - 1
MOST_BOOKED = 10**17 - 1
"""The most that a plain line can say: prices and bookings in units, quantities whole."""

NS_PER_MS = 1_000_000
MIDNIGHT_NS = 1_753_488_000_000_000_000
NOON_NS = MIDNIGHT_NS + 43_200_000_000_000

CALENDAR = (
    "2024-02-29T12:00:00Z",
    "2025-02-29T12:00:00Z",
    "2100-02-29T12:00:00Z",
    "2025-06-31T12:00:00Z",
    "2025-00-10T12:00:00Z",
    "2025-13-10T12:00:00Z",
    "2025-10-00T12:00:00Z",
    "2025-10-32T12:00:00Z",
    "2016-12-31T23:59:60Z",
    "2016-12-31T12:59:60Z",
    "2016-12-31T24:00:00Z",
    "1969-12-31T23:59:59Z",
    "1979-12-31T23:59:59.999Z",
    "1980-01-01T00:00:00Z",
    "2199-12-31T23:59:59.999999Z",
    "2200-01-01T00:00:00Z",
    "2263-01-01T00:00:00Z",
    "20250726-12:00:00",
    "1753531200",
)
KEYS = (
    '"{}"',
    " {}",
    "{} ",
    ' "{}"',
    '"{}',
    '{}"',
    "-{}",
    "{}é",
    "=1+{}",
    "{}\udcff",
    "{}\u00a0",
    "{}\x1f",
    "{}\ufeff",
)
OTHER_KEYS = ("{:x<64}", "{:x<65}", "t{}", "T9", "{}\r", "")
TICKERS = ("aapl", " AAPL", '"AAPL"', '"AA,PL"', "", "ÄAPL", "A" * 16, "A" * 17, "=A", "\udcff", "A B", "BRK.B")
SIDES = [Source.EXECUTIONS, Source.CONFIRMATIONS]
JUNK = ("", "", "", " ", ",", '"')


@st.composite
def days(draw: st.DrawFn) -> dict[Source, bytes]:
    """Three files of a few trades; in two trades of three nothing is odd but what the trade itself says."""
    lines: dict[Source, list[str]] = {source: [] for source in Source}
    for number in range(draw(st.integers(1, 8))):
        sender = _Sender(draw, f"T{number}", odd=draw(st.sampled_from((False, False, True))))
        for source in draw(st.sampled_from((*[list(Source)] * 8, SIDES, SIDES, *[[source] for source in Source]))):
            lines[source] += [sender.row(source) for _ in range(2 if sender.rarely() else 1)]
    return {source: draw(_files(source, lines[source])) for source in Source}


class _Sender:
    """Says of one trade what every source says; the broker may say something else, and accounting either or neither."""

    def __init__(self, draw: st.DrawFn, trade_id: str, *, odd: bool) -> None:
        self.draw = draw
        self.trade_id = trade_id
        self.odd = odd
        price = draw(st.sampled_from((1_905_000, 0, 50, MOST_PRICE)) | st.integers(0, MOST_PRICE))
        quantity = draw(st.sampled_from((100, 1, 10**7, MOST_QUANTITY)) | st.integers(1, 10**6))
        at_ns = draw(st.sampled_from((NOON_NS, NOON_NS + NS_PER_MS, MIDNIGHT_NS, NOON_NS + 123_456_000)))
        self.ours = price, quantity, at_ns
        self.theirs = (
            min(MOST_PRICE, max(0, price + self.apart(50))),
            max(1, quantity + self.apart(1)),
            at_ns + self.apart(100) * NS_PER_MS + self.apart(1000),
        )
        self.fee = draw(st.sampled_from((5_000, 5_000, 5_000, 0, -5_000, MOST_BOOKED, -MOST_BOOKED)))
        self.impact = draw(st.sampled_from(self.impacts()))

    def impacts(self) -> list[int]:
        """What may be booked: what follows from our terms or theirs, and what is hardly a net amount."""
        ours, theirs = (price * quantity - self.fee for price, quantity, _ in (self.ours, self.theirs))
        worth = self.ours[0] * self.ours[1]
        tenth, half = worth // 10, worth // 2 - self.fee
        suspects = (0, tenth, tenth + 1, tenth - 1, -tenth, half, half - 1, half + 1, MOST_BOOKED, -MOST_BOOKED)
        return [*[ours] * 20, *[theirs] * 5, *suspects]

    def row(self, source: Source) -> str:
        """A row as this source sends it."""
        if source is Source.PNL:
            off = self.draw(st.sampled_from((*[0] * 6, 1, -10, 5_000, -3_000, UNIT - 1, 1 - UNIT, UNIT, -UNIT - 1)))
            return ",".join((self.key(), self.amount(self.impact + off), self.amount(self.fee)))
        price, quantity, at_ns = self.ours if source is Source.EXECUTIONS else self.theirs
        return ",".join((self.key(), self.ticker(), self.whole(quantity), self.amount(price), self.instant(at_ns)))

    def apart(self, limit: int) -> int:
        """How far off: mostly not at all, else on the limit or beside it."""
        beside = (limit, -limit, limit - 1, 1 - limit, limit + 1, -limit - 1, 1, 10)
        return self.draw(st.sampled_from((*[0] * 24, *beside)))

    def key(self) -> str:
        return self.said([self.trade_id], *(key.format(self.trade_id) for key in (*KEYS, *OTHER_KEYS)))

    def ticker(self) -> str:
        return self.said(["AAPL"] * 15 + ["MSFT"], *TICKERS)

    def whole(self, count: int) -> str:
        odd = (f"{count}.0", f"{count}.5", f"{count}0", f"0{count}", f"-{count}", f" {count}", "0", "-0", "", "1E2")
        return self.said([str(count)], *odd)

    def amount(self, units: int) -> str:
        whole, fraction = divmod(abs(units), UNIT)
        longest = f"{'-' * (units < 0)}{whole}.{fraction:04d}"
        shortest = longest.rstrip("0").removesuffix(".")
        odd = [f"{longest}0", f"{longest}1", f"{longest}E0", f"0{shortest}", f"1{shortest}", f"+{shortest}"]
        odd += [f"-{shortest}", f"{shortest}.", f" {shortest}", f"{shortest} ", f'"{shortest}"']
        odd += ["-0", "-0.0", "", ".5", "1e2", "NaN", "12,5"]
        return self.said([shortest, longest, longest.removesuffix("0")], *odd)

    def instant(self, instant_ns: int) -> str:
        exact = iso(instant_ns)
        ways = [exact[:-cut] for cut in (10, 6, 3) if not exact[-cut:].strip(".0")] + [exact]
        shortest = ways[0]
        odd = [f"{way}Z" for way in ways] + [shortest, f"{shortest}+00:00", f"{shortest}z", f" {shortest}Z"]
        odd += [f"{shortest.replace('T', ' ')}Z", f"{iso(instant_ns, 60)}+01:00", f"{exact[:-7]}Z", *CALENDAR]
        return self.said([f"{way}Z" for way in ways[:2] if way == shortest or way[-4:] == ".000"], *odd)

    def said(self, usual: Sequence[str], *odd: str) -> str:
        return self.draw(st.sampled_from(odd if self.odd and self.rarely() else usual))

    def rarely(self) -> bool:
        """One time in twelve."""
        return self.draw(st.integers(0, 11)) == 11


@st.composite
def _files(draw: st.DrawFn, source: Source, lines: list[str]) -> bytes:
    """The lines in some order, perhaps some of them again, under a header, with the line breaks of some program."""
    lines = list(draw(st.permutations([*lines, *lines[: draw(st.sampled_from((0, 0, 0, 1, 2)))]])))
    header = PLAIN[source]
    match draw(st.integers(0, 20)):
        case 20:
            header, lines = f"{header},note", [f"{line},x" for line in lines]
        case 19:
            header, *lines = [",".join(reversed(line.split(","))) for line in (header, *lines)]
        case 18:
            header = header.replace("trade_id", '"trade_id"')
        case 17:
            header = header.replace(",", " , ")
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(JUNK)))
    content = file_of(lines, header)
    if draw(st.sampled_from((False, False, False, True))):
        content = content.replace(b"\n", b"\r\n")
    if draw(st.sampled_from((False, False, False, True))):
        content = content.rstrip(b"\r\n")
    return draw(st.sampled_from((b"", b"", b"", b"\xef\xbb\xbf"))) + content


AMOUNTS = ("0.005", "1", "0", "0.0001", "0.00005", "0.00015", "0.0050000001", "0.9999", "1E+17", "1E-18")
TOLERANCES_MS = (100, 0, 1, 10**18 - 1)


@st.composite
def rule_sets(draw: st.DrawFn) -> Rules:
    """Any set of checks that a rules file can ask for, sometimes with a tolerance that the screen cannot prove."""
    tolerance_ns = draw(st.sampled_from(TOLERANCES_MS)) * NS_PER_MS + draw(st.sampled_from((0, 0, -1, 1)))
    drift = Timestamp(tolerance_ns=max(0, tolerance_ns), bound=draw(st.sampled_from(Bound)))
    every: list[Rule] = [Ticker(), Quantity(), Price(tolerance=draw(_limits())), drift, Pnl(tolerance=draw(_limits()))]
    match draw(st.integers(0, 15)):
        case 15:
            every[1] = Quantity(tolerance=draw(_limits()))
        case 14:
            every[3] = replace(drift, precision=Precision.GRANULARITY_AWARE)
    on = draw(st.sets(st.integers(0, 4), min_size=1)) if draw(st.booleans()) else set(range(5))
    checks = tuple(rule for place, rule in enumerate(every) if place in on)
    required = 4 in on and draw(st.booleans())
    overrides = draw(st.lists(_overrides(), min_size=1, max_size=2)) if draw(st.integers(0, 3)) == 3 else []
    return Rules(name="drawn", checks=checks, pnl_required=required, overrides=tuple(overrides) or UNSET)


@st.composite
def _overrides(draw: st.DrawFn) -> Override:
    """Of a ticker that the days have, or lack, of a broker, which plain lines lack; sometimes from a moment on."""
    where = draw(
        st.sampled_from(({"ticker": "AAPL"}, {"ticker": "MSFT"}, {"ticker": "A", "broker": "B"}, {"broker": "B"}))
    )
    begins = draw(st.sampled_from((None, None, None, NOON_NS)))
    checks = (Price(tolerance=draw(_limits())), Timestamp(tolerance_ns=NS_PER_MS), Pnl(tolerance=draw(_limits())))
    return Override(checks=checks, effective_from_ns=begins, **({} if begins and draw(st.booleans()) else where))


@st.composite
def _limits(draw: st.DrawFn) -> Tolerance:
    bound = draw(st.sampled_from(Bound))
    match draw(st.integers(0, 15)):
        case 15:
            share, base = Decimal("0.0001"), draw(st.sampled_from(Base))
            if draw(st.booleans()):
                return Capped(share=share, base=base, at_most=Decimal("0.005"), bound=bound)
            return Relative(share=share, base=base, bound=bound)
        case 14:
            return Band(below=Decimal(0), above=Decimal("0.005"), bound=bound)
    return Absolute(amount=Decimal(draw(st.sampled_from(AMOUNTS))), bound=bound)
