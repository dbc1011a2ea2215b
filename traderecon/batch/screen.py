"""The screen: proves in columns of whole numbers that the plain trades of a part match. It never says that one breaks.

    lines of a part ─> plain, and one per source ─> every check proven ─> rows, MATCHED
                  └─────────── everything else, and every doubt ──────────> the core, trade by trade

Most trades of a good day agree, and that is cheap to prove for a million trades at once. What a trade is, the core
alone decides: a screened run gives the bytes of an unscreened one, and a property test holds it to that.
Amounts are 64-bit integers in units of 0.0001, times in nanoseconds; the pattern of a plain line keeps every product
and sum of them below 2^63.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Self

import msgspec
import polars as pl

from traderecon.batch.summary import NS_PER_MINUTE, Summary
from traderecon.batch.table import COLUMNS
from traderecon.records import Hint, Outcome, Source, State
from traderecon.records.instants import NS_PER_DAY
from traderecon.records.numbers import EXACT
from traderecon.rules import NOTHING, Absolute, Bound, Pnl, Precision, Price, Quantity, Rules, Timestamp, Tolerance

_AMOUNT_DIGITS = 4
_UNITS = Decimal(10_000)
_MS_DIGITS = 6
_LARGEST_UNITS = 2**62

_KEY = r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}"
_SMALL = r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?"
_SIGNED = r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,4})?"
_PLAIN_TERMS = (
    rf"^{_KEY},[A-Za-z0-9][A-Za-z0-9./-]{{0,15}},[1-9][0-9]{{0,7}},{_SMALL},"
    r"(19[89]|2[01][0-9])[0-9]-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3}([0-9]{2}[1-9]|[0-9][1-9]0|[1-9]00)?)?Z$"
)
_PLAIN_PNL = rf"^{_KEY},{_SIGNED},{_SIGNED}$"

_FORMAT = "%Y-%m-%dT%H:%M:%S%.fZ"
_TRADE_ID = pl.col("trade_id")

Lines = dict[Source, list[str]]
KeyOf = Callable[[str], str]


class Screened(msgspec.Struct, frozen=True):
    """The trades proven to match, one row each, and per source the places of all lines that are not theirs."""

    proven: pl.DataFrame
    others: dict[Source, list[int]]

    def rows(self) -> pl.DataFrame:
        """The proven trades in the columns of ``reconcile --out``; what is empty is null."""
        return self.proven.select(COLUMNS)

    def sum_up(self, summary: Summary) -> None:
        """Count the proven trades as ``Summary.judged`` would have."""
        if self.proven.is_empty():
            return
        summary.states[State.MATCHED] += len(self.proven)
        for name in ("ticker", "quantity", "price", "timestamp", "pnl"):
            for outcome, count in _counts(self.proven[f"{name}_check"]):
                summary.checks[name, Outcome(outcome)] += count
        for hints, count in _counts(self.proven["hints"]):
            for hint in hints.split(";"):
                summary.hints[Hint(hint)] += count
        summary.minutes.update(dict(_counts(self.proven["ns"] // NS_PER_MINUTE)))


class Screen(msgspec.Struct, frozen=True):
    """The rules in whole numbers: the largest difference that still agrees; None for a check that is off."""

    ticker: bool
    quantity: bool
    price_units: int | None
    drift_ns: int | None
    pnl_units: int | None
    pnl_required: bool

    @classmethod
    def of(cls, rules: Rules) -> Self | None:
        """The screen for these rules; None when they ask for more than it can prove."""
        checks = {rule.name: rule for rule in rules.checks}
        quantity, price = checks.get("quantity"), checks.get("price")
        drift, pnl = checks.get("timestamp"), checks.get("pnl")
        if isinstance(quantity, Quantity) and quantity.tolerance != NOTHING:
            return None
        if isinstance(drift, Timestamp) and drift.precision is not Precision.EXACT:
            return None
        if any(isinstance(rule, Price | Pnl) and not isinstance(rule.tolerance, Absolute) for rule in rules.checks):
            return None
        return cls(
            ticker="ticker" in checks,
            quantity="quantity" in checks,
            price_units=_most_units(price.tolerance) if isinstance(price, Price) else None,
            drift_ns=drift.tolerance_ns - (drift.bound is Bound.STRICT) if isinstance(drift, Timestamp) else None,
            pnl_units=_most_units(pnl.tolerance) if isinstance(pnl, Pnl) else None,
            pnl_required=rules.pnl_required,
        )

    def prove(self, lines: Lines, key_of: dict[Source, KeyOf]) -> Screened:
        """Split the lines of a part into trades that are proven to match, and other lines.

        The lines are of files with the founding columns, in their order; ``key_of`` finds the trade_id of a line that
        is not plain. Where a trade has such a line, or two of one source, none of its lines are proven.
        """
        plain = {
            Source.EXECUTIONS: _terms(lines.get(Source.EXECUTIONS, [])),
            Source.CONFIRMATIONS: _terms(lines.get(Source.CONFIRMATIONS, [])),
            Source.PNL: _snapshots(lines.get(Source.PNL, [])),
        }
        doubtful: set[str] = set()
        for source, frame in plain.items():
            sent = lines.get(source, [])
            doubtful.update(key_of[source](sent[place]) for place in _others(sent, frame["place"]))
            doubtful.update(frame.filter(_TRADE_ID.is_duplicated())["trade_id"])
        executions, confirmations, snapshots = (
            frame.filter(~_TRADE_ID.is_in(list(doubtful))) for frame in plain.values()
        )
        proven = self._proven(
            executions.join(confirmations, on="trade_id", suffix="_c").join(
                snapshots, on="trade_id", how="left", suffix="_p"
            )
        )
        places = {Source.EXECUTIONS: "place", Source.CONFIRMATIONS: "place_c", Source.PNL: "place_p"}
        return Screened(
            proven, {source: _others(sent, proven[places[source]].drop_nulls()) for source, sent in lines.items()}
        )

    def _proven(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """The pairs of which every check that is on is proven, with the columns of the output."""
        price, drift = _apart("price"), _apart("ns")
        pnl = (pl.col("price") * pl.col("quantity") - pl.col("commission") - pl.col("pnl_impact")).abs()
        proofs = [pl.lit(value=True)]
        if self.ticker:
            proofs.append(pl.col("ticker") == pl.col("ticker_c"))
        if self.quantity:
            proofs.append(pl.col("quantity") == pl.col("quantity_c"))
        if self.price_units is not None:
            proofs.append((price == 0) | (price <= self.price_units))
        if self.drift_ns is not None:
            proofs.append((drift == 0) | (drift <= self.drift_ns))
        if self.pnl_units is not None:
            proofs.append(((pnl == 0) | (pnl <= self.pnl_units)).fill_null(not self.pnl_required))
        nothing = pl.lit(None, pl.String)
        none_apart = pl.lit(0)
        return pairs.filter(pl.all_horizontal(proofs)).select(
            "place",
            "place_c",
            "place_p",
            "ns",
            "trade_id",
            pl.lit(State.MATCHED.value).alias("state"),
            nothing.alias("reasons"),
            _hints().alias("hints"),
            _instant("timestamp").alias("event_time"),
            pl.col("ticker").alias("execution_ticker"),
            pl.col("quantity").cast(pl.String).alias("execution_quantity"),
            _decimal(pl.col("price"), _AMOUNT_DIGITS).alias("execution_price"),
            _instant("timestamp").alias("execution_timestamp"),
            pl.col("ticker_c").alias("confirmation_ticker"),
            pl.col("quantity_c").cast(pl.String).alias("confirmation_quantity"),
            _decimal(pl.col("price_c"), _AMOUNT_DIGITS).alias("confirmation_price"),
            _instant("timestamp_c").alias("confirmation_timestamp"),
            _decimal(pl.col("pnl_impact"), _AMOUNT_DIGITS).alias("pnl_impact"),
            _decimal(pl.col("commission"), _AMOUNT_DIGITS).alias("commission"),
            (_outcome(none_apart) if self.ticker else nothing).alias("ticker_check"),
            (_outcome(none_apart) if self.quantity else nothing).alias("quantity_check"),
            (pl.lit("0") if self.quantity else nothing).alias("quantity_difference"),
            (_outcome(price) if self.price_units is not None else nothing).alias("price_check"),
            (_decimal(price, _AMOUNT_DIGITS) if self.price_units is not None else nothing).alias("price_difference"),
            (_outcome(drift) if self.drift_ns is not None else nothing).alias("timestamp_check"),
            (_decimal(drift, _MS_DIGITS) if self.drift_ns is not None else nothing).alias("timestamp_difference_ms"),
            (_outcome(pnl) if self.pnl_units is not None else nothing).alias("pnl_check"),
            (_decimal(pnl, _AMOUNT_DIGITS) if self.pnl_units is not None else nothing).alias("pnl_difference"),
        )


def _terms(lines: list[str]) -> pl.DataFrame:
    """The plain lines of executions or confirmations: place, text, and whole numbers."""
    return (
        _cells(lines, _PLAIN_TERMS, "trade_id", "ticker", "quantity", "price", "timestamp")
        .with_columns(
            pl.col("quantity").cast(pl.Int64),
            _units("price"),
            pl.col("timestamp").str.to_datetime(_FORMAT, time_unit="ns", strict=False).cast(pl.Int64).alias("ns"),
        )
        .filter(pl.col("ns").is_not_null())  # 31 June has the pattern of a day
    )


def _snapshots(lines: list[str]) -> pl.DataFrame:
    """The plain lines of pnl snapshots."""
    cells = _cells(lines, _PLAIN_PNL, "trade_id", "pnl_impact", "commission")
    return cells.with_columns(_units("pnl_impact"), _units("commission"))


def _cells(lines: list[str], pattern: str, *names: str) -> pl.DataFrame:
    """The cells of the lines of that pattern, and each line's place among all."""
    ascii_only = [line if line.isascii() else "" for line in lines]
    line = pl.col("line")
    return (
        pl.DataFrame({"line": ascii_only}, schema={"line": pl.String})
        .with_row_index("place")
        .filter(line.str.contains(pattern))
        .select("place", line.str.split_exact(",", len(names) - 1).struct.rename_fields(list(names)).struct.unnest())
    )


def _others(lines: list[str], places: pl.Series) -> list[int]:
    """The places of all lines but these."""
    every = pl.int_range(0, len(lines), dtype=pl.UInt32, eager=True)
    others: list[int] = every.filter(~every.is_in(places.implode())).to_list()
    return others


def _units(name: str) -> pl.Expr:
    """An amount's text as a whole number of 0.0001."""
    parts = pl.col(name).str.split_exact(".", 1).struct
    return (parts[0] + parts[1].fill_null("").str.pad_end(_AMOUNT_DIGITS, "0")).cast(pl.Int64).alias(name)


def _decimal(count: pl.Expr, digits: int) -> pl.Expr:
    """A whole number of 10^-digits as the shortest exact decimal text."""
    unit = 10**digits
    size = count.abs()
    fraction = (size % unit).cast(pl.String).str.zfill(digits).str.strip_chars_end("0")
    sign = pl.when(count < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole = (size // unit).cast(pl.String)
    return sign + pl.when(size % unit == 0).then(whole).otherwise(whole + "." + fraction)


def _instant(name: str) -> pl.Expr:
    """A plain timestamp as ``iso`` writes it: only three zeros can be more fraction digits than it needs."""
    sent = pl.col(name)
    return pl.when(sent.str.ends_with(".000Z")).then(sent.str.head(-5) + "Z").otherwise(sent)


def _apart(name: str) -> pl.Expr:
    return (pl.col(name) - pl.col(f"{name}_c")).abs()


def _outcome(difference: pl.Expr) -> pl.Expr:
    return (
        pl.when(difference.is_null())
        .then(pl.lit(Outcome.NOT_CHECKED.value))
        .when(difference == 0)
        .then(pl.lit(Outcome.PASS.value))
        .otherwise(pl.lit(Outcome.WITHIN_TOLERANCE.value))
    )


def _hints() -> pl.Expr:
    """What two plain timestamps show; the codes sorted, null for none."""
    ours, theirs = pl.col("ns"), pl.col("ns_c")
    early = pl.when(theirs < ours).then(pl.lit(Hint.CONFIRM_BEFORE_EXECUTION.value))
    rolled = pl.when(ours // NS_PER_DAY != theirs // NS_PER_DAY).then(pl.lit(Hint.TRADE_DATE_ROLL.value))
    return pl.concat_str(early, rolled, separator=";", ignore_nulls=True).replace("", None)


def _most_units(tolerance: Tolerance) -> int | None:
    """The largest difference in units that an absolute tolerance allows."""
    if not isinstance(tolerance, Absolute):
        return None
    units = EXACT.multiply(tolerance.amount, _UNITS)
    whole = int(units)
    below = whole - 1 if tolerance.bound is Bound.STRICT and whole == units else whole
    return min(below, _LARGEST_UNITS)


def _counts(values: pl.Series) -> Iterable[tuple[Any, int]]:
    return values.drop_nulls().value_counts().iter_rows()
