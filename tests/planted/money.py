"""Money: what each break is about, and the control totals, worked out in fractions from the rows as they were sent.

    rows of a trade + its reasons  ->  Stake(amount, currency, broker)
    every trade                    ->  {(broker, currency): Totals}

Source: DOMAIN.md, decisions (Stake and severity); docs/matching.md, Money at stake.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product

Row = Mapping[str, str]

KINDS = ("new", "amend", "cancel")
ANOTHER_TRADE = frozenset(
    {
        "CANCELLED_ONE_SIDE",
        "CURRENCY_MISMATCH",
        "MULTIPLE_CONFIRMATIONS",
        "SIDE_MISMATCH",
        "TICKER_MISMATCH",
    }
)
"""With one of these the sides do not speak of one trade, or one of them takes it back: all of it is at stake."""
WEIGHTY = ("ticker", "side", "currency", "quantity", "price", "contract_multiplier")
"""A side that contradicts itself in one of these may mean any of the notionals that it sent."""
NUMBERS = frozenset({"quantity", "price", "contract_multiplier", "commission", "pnl_impact", "amount"})


@dataclass(frozen=True)
class Desk:
    """The rules of a desk, as far as money depends on them, and the file that says so; None: the founding rules."""

    name: str
    file: str | None = None
    compares_prices: bool = True
    books_multiplied: bool = False
    groups: bool = False


@dataclass(frozen=True)
class Sent:
    """Every row that came for one trade."""

    executions: Sequence[Row]
    confirmations: Sequence[Row]
    snapshots: Sequence[Row] = ()


@dataclass(frozen=True)
class Stake:
    """The money that a break is about; no amount where the rows do not say."""

    amount: Fraction | None
    currency: str
    broker: str


@dataclass
class Totals:
    """What both sides say they traded, and where the difference lies."""

    executions: Fraction = Fraction(0)
    confirmations: Fraction = Fraction(0)
    breaks: Fraction = Fraction(0)
    tolerated: Fraction = Fraction(0)
    not_compared: Fraction = Fraction(0)
    at_stake: Fraction = Fraction(0)
    unknown: int = 0


@dataclass(frozen=True)
class Leg:
    """What stands of one side: the rows of its highest version and, within it, of its strongest kind.

    Of several members a row is one way to read them all; its ``amount`` is exact where the average price is rounded.
    """

    rows: Sequence[Row]
    values: Mapping[str, set[str | Fraction]] = field(init=False)

    def __post_init__(self) -> None:
        names = {name for row in self.rows for name in row}
        values = {name: {value for row in self.rows for value in value_of(row, name)} for name in names}
        object.__setattr__(self, "values", values)

    @property
    def cancelled(self) -> bool:
        return any(row.get("kind") == "cancel" for row in self.rows)

    @property
    def torn(self) -> bool:
        """Whether the side contradicts itself in what its notional depends on."""
        return not self.cancelled and any(len(self.values.get(name, ())) > 1 for name in WEIGHTY)

    def text(self, name: str) -> str:
        """The one value; nothing where none or several were sent."""
        found = self.values.get(name, set())
        return str(next(iter(found))) if len(found) == 1 else ""

    def number(self, name: str) -> Fraction | None:
        found = self.values.get(name, set())
        return exact(next(iter(found))) if len(found) == 1 else None

    @property
    def amount(self) -> Fraction | None:
        """price * quantity, signed; nothing where one of them is not one value."""
        if "amount" in self.values:
            return self.number("amount")
        price, quantity = self.number("price"), self.number("quantity")
        return None if price is None or quantity is None else price * quantity

    def notionals(self) -> Iterator[Fraction]:
        """|price * quantity * multiplier| of every row that stands and says; one multiplier may be that of all."""
        for row in self.rows:
            price, quantity, own = row.get("price"), row.get("quantity"), row.get("contract_multiplier")
            multiplier = Fraction(own) if own else self.number("contract_multiplier") or Fraction(1)
            if price and quantity:
                amount = row.get("amount")
                yield abs((Fraction(amount) if amount else Fraction(price) * Fraction(quantity)) * multiplier)


def value_of(row: Row, name: str) -> Iterator[str | Fraction]:
    """The value of a cell, by which spellings are equal; nothing for an empty one."""
    sent = row.get(name)
    if sent:
        yield Fraction(sent) if name in NUMBERS else folded(sent) if name == "currency" else sent


def folded(currency: str) -> str:
    """One spelling per currency; pence are no pounds."""
    return currency if currency == "GBp" else currency.upper()


def exact(value: str | Fraction) -> Fraction:
    assert isinstance(value, Fraction)
    return value


def standing(rows: Iterable[Row]) -> Leg | None:
    """The side of a trade as it stands; None if nothing of it was sent."""

    def precedence(row: Row) -> tuple[bool, int, int]:
        kind = row.get("kind") or "new"
        unversioned_cancel = kind == "cancel" and not row.get("version")
        return unversioned_cancel, int(row.get("version") or "1"), KINDS.index(kind)

    known = list(rows)
    if not known:
        return None
    strongest = max(map(precedence, known))
    return Leg([row for row in known if precedence(row) == strongest])


def side_of(rows: Iterable[Row], desk: Desk) -> Leg | None:
    """The side of a trade as it stands, or of a group: what its members add up to, without the cancelled ones."""
    if not desk.groups:
        return standing(rows)
    members: dict[str, list[Row]] = {}
    for row in rows:
        members.setdefault(row["trade_id"], []).append(row)
    legs = [leg for sent in members.values() if (leg := standing(sent)) is not None]
    active = [leg for leg in legs if not leg.cancelled]
    if len(active) < 2:
        return next(iter(active or legs), None)
    tickers = {leg.text("ticker") for leg in active}
    readings = [added_up(members) for members in product(*(leg.rows for leg in active))]
    return Leg([{**row, "ticker": ticker} for row in readings for ticker in tickers])


def added_up(members: Sequence[Row]) -> Row:
    """One reading of a group: a row of each member, as one row."""
    row = {}
    for name in ("quantity", "commission", "pnl_impact"):
        if all(member.get(name) for member in members):
            row[name] = in_digits(sum((Fraction(member[name]) for member in members), Fraction(0)))
    for name in ("currency", "broker"):
        said = {value for member in members for value in value_of(member, name)}
        row[name] = str(next(iter(said))) if len(said) == 1 else ""
    if "quantity" in row:
        amount = sum((Fraction(member["price"]) * Fraction(member["quantity"]) for member in members), Fraction(0))
        row |= {"amount": in_digits(amount), "price": in_digits(round(amount / Fraction(row["quantity"]), 18))}
    return row


def stake_of(sent: Sent, reasons: Iterable[str], desk: Desk) -> Stake:
    """The money that a break with these reasons is about."""
    ours, theirs = side_of(sent.executions, desk), side_of(sent.confirmations, desk)
    legs = [leg for leg in (ours, theirs) if leg is not None]
    broker = next((leg for leg in legs if not leg.cancelled), legs[0]).text("broker")
    torn = [leg for leg in legs if leg.torn]
    if torn:
        amount, leg = max(((amount, leg) for leg in torn for amount in leg.notionals()), key=lambda found: found[0])
        return Stake(amount, currency_of(leg, *legs), broker)
    if ours is None or theirs is None or not ANOTHER_TRADE.isdisjoint(reasons):
        said = [leg for leg in legs if len(legs) == 1 or not leg.cancelled]
        amount_of = next(((max(leg.notionals()), leg) for leg in said if any(True for _ in leg.notionals())), None)
        if amount_of is None:
            return Stake(None, currency_of(*legs), broker)
        return Stake(amount_of[0], currency_of(amount_of[1], *legs), broker)
    amount = apart(ours, theirs)
    if "COMMISSION_MISMATCH" in reasons:
        amount += abs(needed(ours, "commission") - needed(theirs, "commission"))
    if "PNL_INCONSISTENT" in reasons:
        amount = max(amount, misbooked(ours, sent.snapshots, desk))
    return Stake(amount, currency_of(ours, theirs), broker)


def apart(ours: Leg, theirs: Leg) -> Fraction:
    """|price difference| * quantity of the execution + |quantity difference| * price of the confirmation."""
    dearer = abs(needed(ours, "price") - needed(theirs, "price")) * needed(ours, "quantity")
    more = abs(needed(ours, "quantity") - needed(theirs, "quantity")) * abs(needed(theirs, "price"))
    multiplier = ours.number("contract_multiplier") or theirs.number("contract_multiplier") or Fraction(1)
    return (dearer + more) * multiplier


def misbooked(ours: Leg, snapshots: Iterable[Row], desk: Desk) -> Fraction:
    """How far accounting is from price * quantity - commission of the execution."""
    booked = side_of(snapshots, desk)
    assert booked is not None
    multiplier = needed(ours, "contract_multiplier") if desk.books_multiplied else Fraction(1)
    net = needed(ours, "price") * needed(ours, "quantity") * multiplier - needed(booked, "commission")
    return abs(net - needed(booked, "pnl_impact"))


def needed(leg: Leg, name: str) -> Fraction:
    value = leg.number(name)
    assert value is not None, f"{name} is not one value in {leg.rows}"
    return value


def currency_of(*legs: Leg) -> str:
    """The currency of the first leg that names any; none if that one contradicts itself."""
    return next((leg.text("currency") for leg in legs if leg.values.get("currency")), "")


def add_trade(
    totals: dict[tuple[str, str], Totals], sent: Sent, *, state: str, stake: Stake | None, desk: Desk
) -> None:
    """Add the signed notionals of one trade to the accounts that its two sides name, and its stake to its own."""
    is_break = state in {"MISMATCHED", "UNMATCHED"}
    share = "breaks" if is_break else "tolerated" if state == "MATCHED" and desk.compares_prices else "not_compared"
    for side, rows, sign in (("executions", sent.executions, 1), ("confirmations", sent.confirmations, -1)):
        leg = side_of(rows, desk)
        if leg is None or leg.cancelled:
            continue
        account = totals.setdefault((leg.text("broker"), leg.text("currency")), Totals())
        if leg.amount is None:
            account.unknown += 1
            continue
        setattr(account, side, getattr(account, side) + leg.amount)
        setattr(account, share, getattr(account, share) + sign * leg.amount)
    if stake and stake.amount is not None:
        totals.setdefault((stake.broker, stake.currency), Totals()).at_stake += stake.amount


def in_digits(amount: Fraction) -> str:
    """Every digit of a decimal fraction and none more.

    >>> in_digits(Fraction("-1900.50")), in_digits(Fraction(1, 2**4)), in_digits(Fraction(300))
    ('-1900.5', '0.0625', '300')
    """
    places = 0
    while (amount * 10**places).denominator != 1:
        places += 1
        assert places < 200, f"{amount} has no last digit"
    digits = str(abs((amount * 10**places).numerator)).rjust(places + 1, "0")
    whole, part = (digits[:-places], "." + digits[-places:]) if places else (digits, "")
    return ("-" if amount < 0 else "") + whole + part
