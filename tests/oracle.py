"""Oracle: what the founding rules say of one trade, worked out a second time and in another way.

    rows of text per source + limits  ->  Finding(state, sorted reasons, outcome per check)

Fractions instead of decimals, seconds instead of nanoseconds, and nothing imported from what it judges. The rows are
valid; every grace is over. Source: DOMAIN.md, decisions, 5.2 and section 6; CONTRACT.md, Topics.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from unicodedata import category

Row = Mapping[str, str]
Value = str | Fraction | int | None

TERMS = ("ticker", "side", "currency", "account", "broker", "counterparty", "order_id")
KINDS = ("new", "amend", "cancel")
CHECKS = ("ticker", "quantity", "price", "timestamp", "pnl")
REASONS = {
    "ticker": "TICKER_MISMATCH",
    "quantity": "QUANTITY_MISMATCH",
    "price": "PRICE_MISMATCH",
    "timestamp": "TIMESTAMP_DRIFT",
    "pnl": "PNL_INCONSISTENT",
}
ATTRIBUTES = {
    "side": "SIDE_MISMATCH",
    "currency": "CURRENCY_MISMATCH",
    "account": "ACCOUNT_MISMATCH",
    "counterparty": "COUNTERPARTY_MISMATCH",
    "broker": "BROKER_MISMATCH",
    "commission": "COMMISSION_MISMATCH",
    "trade_date": "TRADE_DATE_MISMATCH",
    "settlement_date": "SETTLEMENT_DATE_MISMATCH",
}
"""What both sides may send beside the terms; an order_id is each side's own."""
READ = {
    "ours": {"ticker", "quantity", "price", "instant", *ATTRIBUTES},
    "theirs": {"ticker", "quantity", "price", "instant", *ATTRIBUTES},
    "booked": {"pnl_impact", "commission", "currency"},
}
"""The fields that one of the checks reads of each side."""
DIRECTIONS = {"BUY": "buy", "1": "buy", "SELL": "sell", "2": "sell"}
DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
NANOSECOND = Fraction(1, 10**9)
BLANKS = (
    "".join(one for one in map(chr, range(0x3001)) if category(one) == "Zs") + "\u180e\u200b\u200c\u200d\u2060\ufeff"
)
"""What is no part of a cell at its ends: the separators of Unicode, and what takes no room."""


@dataclass(frozen=True)
class Limits:
    """How far the sides may lie apart; the pnl limit itself is too far, the other two are not."""

    price: Fraction = Fraction(5, 1000)
    drift_s: Fraction = Fraction(100, 1000)
    pnl: Fraction = Fraction(1)


FOUNDING = Limits()


@dataclass(frozen=True)
class Exemption:
    """Other limits for the trades with these names, since a moment in seconds; None: as for every other trade."""

    names: Mapping[str, str]
    since: Fraction | None = None
    price: Fraction | None = None
    drift_s: Fraction | None = None


WEIGHTS = {"ticker": 3, "broker": 2, "account": 1}
"""The names that an exemption may ask for; what weighs more goes first, then what asks for more, then the latest."""


@dataclass(frozen=True)
class Finding:
    """What the oracle says; no outcomes where nothing can be judged yet."""

    state: str
    reasons: list[str]
    outcomes: dict[str, str]


@dataclass(frozen=True)
class Side:
    """What the rows that stand for one source say together: every value of each field."""

    values: dict[str, set[Value]]
    cancels_nothing: bool

    @property
    def row(self) -> dict[str, Value]:
        """The one value of each field; None where there is none, or more than one."""
        return {field: next(iter(found)) if len(found) == 1 else None for field, found in self.values.items()}

    @property
    def contested(self) -> frozenset[str]:
        """The fields in which the rows contradict each other; a cancel says nothing but that it cancels."""
        return frozenset(field for field, found in self.values.items() if len(found) > 1 and not self.cancelled)

    @property
    def cancelled(self) -> bool:
        """Whether the sender took the trade back."""
        return self.values["kind"] == {"cancel"}


def find(
    executions: Sequence[Row],
    confirmations: Sequence[Row],
    snapshots: Sequence[Row],
    limits: Limits,
    exemptions: Sequence[Exemption] = (),
) -> Finding:
    """Judge one trade from all rows that came for it, in any order."""
    ours, theirs = stands(map(terms, executions)), stands(map(terms, confirmations))
    booked = stands(map(amounts, snapshots))
    sides = {"ours": ours, "theirs": theirs, "booked": booked}
    conflict = [of for of, side in sides.items() if side and side.contested & READ[of]]
    if theirs and not theirs.cancelled and len(theirs.values["broker"]) > 1:
        conflict = ["MULTIPLE_CONFIRMATIONS", *["DUPLICATE_CONFLICT" for of in conflict if of != "theirs"][:1]]
    else:
        conflict = ["DUPLICATE_CONFLICT"] if conflict else []
    nothing = dict.fromkeys(CHECKS, "NOT_CHECKED")
    if ours and theirs:
        if ours.cancelled and theirs.cancelled:
            return Finding("CANCELLED", [], nothing)
        if ours.cancelled or theirs.cancelled:
            return Finding("MISMATCHED", sorted(["CANCELLED_ONE_SIDE", *conflict]), nothing)
        outcomes = compare(ours, theirs, booked, excepted(ours, theirs, limits, exemptions))
        failed = [(REASONS | ATTRIBUTES)[name] for name, outcome in outcomes.items() if outcome == "FAIL"]
        reasons = sorted([*failed, *conflict])
        return Finding("MISMATCHED" if reasons else "MATCHED", reasons, outcomes)
    alone = ours or theirs
    if alone is None:
        return Finding("PENDING", [], {})
    if alone.cancelled and not alone.cancels_nothing:
        return Finding("CANCELLED", [], nothing)
    missing = "MISSING_CONFIRMATION" if ours else "MISSING_EXECUTION"
    if alone.cancelled:
        missing = "CANCEL_UNKNOWN_TRADE"
    return Finding("UNMATCHED", sorted([missing, *conflict]), nothing)


def excepted(ours: Side, theirs: Side, limits: Limits, exemptions: Sequence[Exemption]) -> Limits:
    """The limits of one trade: each of them from the strongest exemption that has it and is about the trade."""

    def agreed(field: str) -> Value:
        """What the sides say together, or the one that says anything; None if it is not one value."""
        said = ours.values[field] | theirs.values[field]
        return next(iter(said)) if len(said) == 1 else None

    when = None if "instant" in ours.contested else ours.row["instant"]
    known = [
        exemption
        for exemption in exemptions
        if all(agreed(name) == wanted for name, wanted in exemption.names.items())
        and (exemption.since is None or (when is not None and exactly(when) >= exemption.since))
    ]
    known.sort(
        key=lambda one: (
            max((WEIGHTS[name] for name in one.names), default=0),
            len(one.names),
            one.since or Fraction(-1),
        )
    )
    for exemption in known:  # the strongest last
        limits = replace(
            limits,
            price=limits.price if exemption.price is None else exemption.price,
            drift_s=limits.drift_s if exemption.drift_s is None else exemption.drift_s,
        )
    return limits


def compare(ours: Side, theirs: Side, booked: Side | None, limits: Limits) -> dict[str, str]:
    """One outcome per check; a contested field proves nothing to any check that uses it."""

    def apart(field: str, limit: Fraction | int) -> str:
        if field in ours.contested | theirs.contested:
            return "NOT_CHECKED"
        far = distance(ours.row[field], theirs.row[field])
        return "PASS" if far == 0 else "WITHIN_TOLERANCE" if far <= limit else "FAIL"

    tickers = {ours.row["ticker"], theirs.row["ticker"]}
    unsure = "ticker" in ours.contested | theirs.contested
    return {
        "ticker": "NOT_CHECKED" if unsure else "FAIL" if len(tickers) > 1 else "PASS",
        "quantity": apart("quantity", 0),
        "price": apart("price", limits.price),
        "timestamp": apart("instant", limits.drift_s),
        "pnl": compare_pnl(ours, booked, limits),
        **{
            name: compare_attribute(name, ours, theirs)
            for name in ATTRIBUTES
            if ours.values[name] or theirs.values[name]
        },
    }


def compare_attribute(name: str, ours: Side, theirs: Side) -> str:
    """Equal or not, where both sent one value of it."""
    here, there = ours.values[name], theirs.values[name]
    if not here or not there or name in ours.contested | theirs.contested:
        return "NOT_CHECKED"
    return "PASS" if here == there else "FAIL"


def compare_pnl(ours: Side, booked: Side | None, limits: Limits) -> str:
    """price * quantity - commission of our execution against pnl_impact."""
    if booked is None or booked.row["pnl_impact"] is None or booked.row["commission"] is None:
        return "NOT_CHECKED"
    if {"price", "quantity"} & ours.contested:
        return "NOT_CHECKED"
    here, there = ({folded(str(name)) for name in side.values["currency"]} for side in (ours, booked))
    if here and there and len(here | there) > 1:
        return "NOT_CHECKED"
    gross = exactly(ours.row["price"]) * exactly(ours.row["quantity"])
    apart = distance(gross - exactly(booked.row["commission"]), booked.row["pnl_impact"])
    if apart == 0:
        return "PASS"
    return "WITHIN_TOLERANCE" if apart < limits.pnl else "FAIL"


def stands(rows: Iterable[dict[str, Value]]) -> Side | None:
    """The rows of the highest version and, within it, the strongest kind; None if there is no row."""
    known = list(rows)
    if not known:
        return None
    strongest = max(known, key=precedence)
    rivals = [row for row in known if precedence(row) == precedence(strongest)]
    values = {field: {rival[field] for rival in rivals} - {None} for field in strongest}
    values["currency"] = {folded(str(name)) for name in values["currency"]}
    if "side" in values:
        values["side"] = {DIRECTIONS.get(str(name).upper(), str(name)) for name in values["side"]}
    return Side(values, cancels_nothing=all(row["kind"] == "cancel" for row in known))


def precedence(row: Mapping[str, Value]) -> tuple[Fraction, int]:
    """Version, then kind: a cancel is stronger than an amend, an amend than a new."""
    return exactly(row["version"]), KINDS.index(str(row["kind"]))


def terms(row: Row) -> dict[str, Value]:
    """A row of executions or broker_confirmations, by value."""
    texts: dict[str, Value] = {name: text_of(row, name) for name in TERMS}
    kind = (text_of(row, "kind") or "new").lower()
    texts |= {"version": version_of(row), "kind": kind}
    if kind == "cancel":  # nothing is checked of it
        return texts | dict.fromkeys(("quantity", "price", "instant", "commission", "trade_date", "settlement_date"))
    dates = {name: (text_of(row, name) or "").replace("-", "") or None for name in ("trade_date", "settlement_date")}
    return texts | {
        **dates,
        "commission": number_of(row, "commission"),
        "quantity": number_of(row, "quantity"),
        "price": number_of(row, "price"),
        "instant": seconds(row["timestamp"]),
    }


def amounts(row: Row) -> dict[str, Value]:
    """A row of pnl_snapshot, by value."""
    names = ("pnl_impact", "commission", "open_price", "mark_price")
    numbers: dict[str, Value] = {name: number_of(row, name) for name in names}
    return numbers | {"currency": text_of(row, "currency"), "version": version_of(row), "kind": "new"}


def folded(currency: str) -> str:
    """One spelling per currency, of those that the rows here have; pence are no pounds."""
    return currency if currency == "GBp" else currency.upper()


def text_of(row: Row, name: str) -> str | None:
    """The text without the blanks around it; None if nothing is left."""
    return row.get(name, "").strip(BLANKS) or None


def number_of(row: Row, name: str) -> Fraction | None:
    """The number, exactly."""
    sent = text_of(row, name)
    return None if sent is None else Fraction(sent)


def version_of(row: Row) -> Fraction:
    """The version; unless one was sent 1, and for a cancel more than anybody can send."""
    sent = number_of(row, "version")
    if sent is None:
        return Fraction(10**30) if (text_of(row, "kind") or "").lower() == "cancel" else Fraction(1)
    return sent


def exactly(value: Value) -> Fraction:
    """The number a field holds."""
    assert isinstance(value, Fraction)
    return value


def distance(here: Value, there: Value) -> Fraction:
    """How far two numbers lie apart."""
    return abs(exactly(here) - exactly(there))


def seconds(sent: str) -> Fraction:
    """Seconds since 1970, in UTC: ISO 8601 (naive is UTC) or FIX.

    >>> seconds("2025-07-26T12:01:23.5+02:00") == seconds("20250726-10:01:23.5") == Fraction(3507048167, 2)
    True
    """
    text = sent.strip(BLANKS).upper().replace(",", ".")
    offset = re.search(r"([+-])(\d\d):?(\d\d)?$", text[19:])
    if offset:
        text = text[: 19 + offset.start()]
    date, clock = re.split(r"[T ]|(?<=\d{8})-", text.removesuffix("Z"), maxsplit=1)
    digits = date.replace("-", "")
    hour, minute, second = clock.split(":")
    since_midnight = int(hour) * 3600 + int(minute) * 60 + Fraction(second)
    if second == "60":
        since_midnight -= NANOSECOND
    if offset:
        ahead = int(offset[2]) * 3600 + int(offset[3] or "0") * 60
        since_midnight -= ahead if offset[1] == "+" else -ahead
    return days(int(digits[:4]), int(digits[4:6]), int(digits[6:])) * 86_400 + since_midnight


def days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01, counted in the Gregorian calendar.

    >>> days(1970, 1, 1), days(2000, 3, 1), days(2025, 7, 26)
    (0, 11017, 20295)
    """
    years = year - 1
    leap_days = years // 4 - years // 100 + years // 400
    leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    since_new_year = DAYS_BEFORE_MONTH[month - 1] + (month > 2 and leap_year) + day - 1
    return years * 365 + leap_days + since_new_year - 719_162
