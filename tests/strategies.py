"""Strategies: the rows of one trade, drawn where rules change their mind, and the ways to write and send them.

    trades() -> [(source, row), ...]      a row is {"quantity": "100.0", ...}, text as a sender writes it

Amounts are whole units of 1E-18, instants whole nanoseconds, so nothing here rounds either. Differences are drawn on
the tolerance, one unit beside it, and elsewhere.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from traderecon.intake import COLUMNS, Rows, decode
from traderecon.records import Fact, Origin, Rejected, Source

Row = dict[str, str]
Sent = tuple[Source, Row]

ONE = 10**18
NS_PER_S = 10**9
PRICE_LIMIT = ONE // 200
DRIFT_LIMIT_NS = NS_PER_S // 10
DAY_START_NS = 1_753_488_000 * NS_PER_S

NAMES = ("ticker", "side", "currency", "account", "broker", "counterparty", "order_id")
ATTRIBUTES = {
    "side": st.sampled_from(("BUY", "1", "buy", "SELL", " 2", "CROSS", "")),
    "commission": st.sampled_from(("1.5", "1.50", "2", "-0.2", "")),
    "trade_date": st.sampled_from(("2025-07-26", "20250726", "2025-07-27", " ")),
    "settlement_date": st.sampled_from(("2025-07-28", " 20250728 ", "2025-07-29")),
}
"""What a side may send beside its names, in several spellings."""
OWN = ("venue", "hints", "granularity", "timestamp_ns", "source", "extra", "stands", "unread_price")
"""Fields of a producer's own; most have the name of a field that a leg, or what stands beside it, has in ours."""
SIDES = (Source.EXECUTIONS, Source.CONFIRMATIONS)


def digits(units: int, places: int = 18) -> str:
    """So many units of 10 ** -places in digits, without trailing zeros.

    >>> digits(-5, 3), digits(190_500, 3), digits(7, 0)
    ('-0.005', '190.5', '7')
    """
    whole, fraction = divmod(abs(units), 10**places)
    text = f"{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".") if places else str(whole)
    return f"-{text}" if units < 0 else text


def iso(instant_ns: int, offset_minutes: int = 0) -> str:
    """The local date and time at this offset from UTC, to the nanosecond, without the offset."""
    epoch_s, fraction_ns = divmod(instant_ns, NS_PER_S)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch_s, minutes=offset_minutes)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction_ns:09d}"


def near(limit: int) -> SearchStrategy[int]:
    """Differences: none, on the limit, one unit to each side of it, and anything up to three times as far."""
    exact = [0, 1, limit - 1, limit, limit + 1]
    return st.sampled_from([*exact, *(-one for one in exact)]) | st.integers(-3 * limit, 3 * limit)


def spelled(amount: str) -> SearchStrategy[str]:
    """Other ways to write the same number: zeros, a sign, an exponent, blanks."""
    unsigned = amount.removeprefix("-")
    sign = "-" if unsigned != amount else ""
    whole, _, fraction = unsigned.partition(".")
    ways = [
        amount,
        f"{sign}{whole}.{fraction}0",
        f"{sign}00{unsigned}",
        f" {amount}  ",
        f"{sign}{whole}{fraction}E-{len(fraction)}",
        f"{sign}0.{whole}{fraction}e+{len(whole)}",
    ]
    if not sign:
        ways.append(f"+{amount}")
    if unsigned.startswith("0."):
        ways.append(f"{sign}.{fraction}")
    if not fraction:
        ways.append(f"{amount}.")
        if whole.endswith("00"):
            ways.append(f"{sign}{whole[:-2]}E2")
    return st.sampled_from(ways)


def json_number(amount: str) -> SearchStrategy[str]:
    """The same number as a JSON number may be written."""
    ways = [amount, f"{amount}00" if "." in amount else f"{amount}.00", f"{amount}e0", f"{amount}E+0"]
    if amount.endswith("00"):
        ways.append(f"{amount[:-2]}E2")
    return st.sampled_from(ways)


def told(instant_ns: int) -> SearchStrategy[str]:
    """Other ways to write the same instant: zones, forms, fraction digits. Naive is UTC."""
    exact = iso(instant_ns)
    shortest = exact.rstrip("0").rstrip(".")
    east, west, half = iso(instant_ns, 120), iso(instant_ns, -300), iso(instant_ns, 330)
    ways = [f"{exact}Z", f"{shortest}Z", f"{shortest}z".replace("T", "t"), f"{exact}000Z", f" {exact}Z "]
    ways += [f"{east}+02:00", f"{west}-05", f"{half}+0530".replace("T", " "), f"{exact}-00:00".replace(".", ",")]
    ways += [shortest, exact.replace("T", " ")]
    ways += [shortest.replace("-", "").replace("T", "-")]
    return st.sampled_from(ways)


@st.composite
def trades(draw: st.DrawFn, *, snapshots: bool = True) -> list[Sent]:
    """Rows for one trade: per source one, none or a few, each near the base in every field, in any order."""
    base = draw(bases())
    sent: list[Sent] = []
    for source in Source if snapshots else SIDES:
        for _ in range(draw(st.sampled_from((1, 1, 1, 1, 0, 2, 3)))):
            sent.append((source, draw(pnl_rows(base) if source is Source.PNL else term_rows(base))))
    if not sent:
        sent.append((Source.EXECUTIONS, draw(term_rows(base))))
    return draw(st.permutations(sent))


@st.composite
def bases(draw: st.DrawFn) -> Mapping[str, int]:
    """What the rows of one trade have in common: amounts in units of 1E-18, the instant in nanoseconds."""
    places = draw(st.sampled_from((0, 2, 2, 4, 9)))
    unit = 10 ** (18 - places)
    return {
        "price": draw(st.integers(-(10**6), 10**8)) * unit if draw(st.booleans()) else 190_500 * 10**15,
        # price * quantity keeps within 18 fraction digits, so a snapshot can be exactly right.
        "quantity": draw(st.just(100 * ONE) | st.integers(1, 10**6).map(lambda count: count * 10 ** (9 + places))),
        "commission": draw(st.sampled_from((0, ONE // 2, -ONE // 5, 1))),
        "instant_ns": DAY_START_NS + draw(st.sampled_from((0, 36_083 * NS_PER_S, 86_399_950_000_000))),
    }


@st.composite
def term_rows(draw: st.DrawFn, base: Mapping[str, int]) -> Row:
    """An execution or a confirmation, agreeing with the base in most fields."""
    price, quantity, instant_ns = base["price"], base["quantity"], base["instant_ns"]
    if seldom(draw):
        price += draw(near(PRICE_LIMIT))
    if seldom(draw):
        quantity = max(1, quantity + draw(near(ONE)))
    if seldom(draw):
        instant_ns += draw(near(DRIFT_LIMIT_NS))
    row = {
        "trade_id": "T1",
        "ticker": draw(st.sampled_from(("AAPL", "AAPL", "AAPL", "MSFT", " AAPL", "aapl"))),
        "quantity": draw(spelled(digits(quantity))),
        "price": draw(spelled(digits(price))),
        "timestamp": draw(told(instant_ns)),
    }
    if seldom(draw):
        row["version"] = draw(st.sampled_from(("1", "2", "2.0", "0", "7", "")))
    if seldom(draw):
        row["kind"] = draw(st.sampled_from(("new", "amend", "cancel", "CANCEL", " ")))
        if row["kind"].lower() == "cancel":  # needs none of its terms, and nobody has to be able to read them
            for name in draw(st.sets(st.sampled_from(("ticker", "quantity", "price", "timestamp")))):
                row[name] = draw(st.sampled_from(("", "n/a", "nan", "-Infinity", "x" * 600)))
    if seldom(draw):
        optional = {**{name: words() for name in NAMES[1:]}, **ATTRIBUTES}
        row |= draw(st.fixed_dictionaries({}, optional=optional))
    if seldom(draw):
        row |= draw(st.fixed_dictionaries({}, optional={name: words() for name in (*OWN, "pnl_impact", "open_price")}))
    return row


def trade_rows(base: Mapping[str, int]) -> st.SearchStrategy[Row]:
    """Of an execution or a confirmation that is not a cancel, so that it has its terms."""
    return term_rows(base).filter(lambda row: row.get("kind", "").lower() != "cancel")


@st.composite
def pnl_rows(draw: st.DrawFn, base: Mapping[str, int]) -> Row:
    """A snapshot of what the base trade gives, or near it."""
    impact = base["price"] * base["quantity"] // ONE - base["commission"]
    if seldom(draw):
        impact += draw(near(ONE))
    row = {
        "trade_id": "T1",
        "pnl_impact": draw(spelled(digits(impact))),
        "commission": draw(spelled(digits(base["commission"]))),
    }
    if seldom(draw):
        row |= draw(st.sampled_from(({"commission": ""}, {"pnl_impact": " "}, {"version": "2"}, {"version": "0"})))
    if seldom(draw):
        row |= draw(st.fixed_dictionaries({}, optional={"currency": words(), "open_price": st.just("189.545")}))
    if seldom(draw):
        row |= draw(st.fixed_dictionaries({}, optional={name: words() for name in (*OWN, "timestamp", "kind", "side")}))
    return row


def words() -> SearchStrategy[str]:
    """What an optional text field holds: one of few, so that two often agree."""
    return st.sampled_from(("USD", "EUR", "usd", " USD", "", "GBp", "GBP", "Gbp"))


def seldom(draw: st.DrawFn) -> bool:
    """Whether to deviate here: one time in three."""
    return draw(st.sampled_from((False, False, True)))


def as_json(row: Row, numbers: Sequence[str] = ()) -> bytes:
    """The row as a message; the fields named in ``numbers`` as JSON numbers, written as they are."""
    members = (
        f"{json.dumps(name)}:{text if name in numbers else json.dumps(text, ensure_ascii=False)}"
        for name, text in row.items()
    )
    return f"{{{','.join(members)}}}".encode()


def as_csv(row: Row) -> tuple[str, str]:
    """The row as a header and a line."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows((row.keys(), row.values()))
    header, line = lines.getvalue().removesuffix("\n").split("\n", 1)
    return header, line


def fact(source: Source, row: Row, *, offset: int = 0, received_at_ns: int = 0) -> Fact:
    """The fact this row is; the row is valid."""
    decoded = decode(source, as_json(row), Origin(source.value, 0, offset, received_at_ns))
    assert isinstance(decoded, Fact), decoded
    return decoded


def facts_of(sent: Sequence[Sent]) -> list[Fact]:
    """The facts of these rows, in their order."""
    return [fact(source, row, offset=offset) for offset, (source, row) in enumerate(sent)]


def read_line(source: Source, row: Mapping[str, Any]) -> Fact | Rejected:
    """What a CSV file with this row alone is read as."""
    header, line = as_csv({**dict.fromkeys(COLUMNS[source], ""), **row})
    return Rows(source, header).decode(line, Origin(f"{source.value}.csv", 0, 2))
