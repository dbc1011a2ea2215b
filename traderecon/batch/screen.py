"""The screen: proves in columns that the plain trades of a part match. It never says that one breaks.

    lines of a part ─> plain, and one per source ─> every check proven ─> rows, MATCHED
                  └─────────── everything else, and every doubt ────────> the core, trade by trade

On a good day most trades agree, nearly always to the letter. What a trade is, the core alone decides: a screened run
gives the bytes of an unscreened one, and a property test holds it to that. Amounts are 64-bit integers in units of
0.0001, times in nanoseconds; the pattern of a plain line keeps every product and sum of them below 2^63.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Self

import msgspec
import polars as pl

from traderecon.batch.summary import NS_PER_MINUTE, Summary
from traderecon.batch.table import COLUMNS
from traderecon.records import Hint, Outcome, Source, State
from traderecon.records.instants import NS_PER_DAY
from traderecon.records.numbers import EXACT
from traderecon.rules import Absolute, Bound, Pnl, Precision, Price, Rules, Timestamp, Tolerance

_AMOUNT_DIGITS, _MS_DIGITS = 4, 6
_UNITS = Decimal(10_000)
_LARGEST_UNITS = 2**62

_KEY = r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}"
_AMOUNT = r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,4})?"
_PLAIN_TERMS = (
    rf"^{_KEY},[A-Za-z0-9][A-Za-z0-9./-]{{0,15}},[1-9][0-9]{{0,7}},(0|[1-9][0-9]{{0,5}})(\.[0-9]{{1,4}})?,"
    r"(19[89]|2[01][0-9])[0-9]-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{3}([0-9]{2}[1-9]|[0-9][1-9]0|[1-9]00)?)?Z$"
)
_SECOND = "%Y-%m-%dT%H:%M:%S"

_PLAIN = {
    Source.EXECUTIONS: _PLAIN_TERMS,
    Source.CONFIRMATIONS: _PLAIN_TERMS,
    Source.PNL: rf"^{_KEY},{_AMOUNT},{_AMOUNT}$",
}

_PLACE, _LINE, _TRADE_ID = pl.col("place"), pl.col("line"), pl.col("trade_id")
_TWICE = _TRADE_ID.is_duplicated()
_READ = pl.col("ns").is_not_null()
_NOTHING = pl.lit(None, pl.String)
_PASS = pl.lit(Outcome.PASS.value)
_ZERO = pl.lit("0")
_NO_SNAPSHOTS = pl.DataFrame(
    schema={"place": pl.UInt32, "trade_id": pl.String, "pnl_impact": pl.String, "commission": pl.String, "ns": pl.Int64}
)

Lines = dict[Source, pl.DataFrame]
"""Per source: ``number``, ``line``, ``trade_id``."""


class Screened(msgspec.Struct, frozen=True):
    """The trades proven to match, one row each, how many of their lines were sent again, and all other lines."""

    proven: pl.DataFrame
    again: dict[Source, int]
    others: Lines

    def rows(self) -> pl.DataFrame:
        """The proven trades in the columns of ``reconcile --out``; what is empty is null."""
        return self.proven.select(COLUMNS)

    def sum_up(self, summary: Summary) -> None:
        """Count the proven trades as ``Summary.judged`` would have."""
        if self.proven.is_empty():
            return
        summary.duplicates.update({source: count for source, count in self.again.items() if count})
        summary.states[State.MATCHED] += len(self.proven)
        for name in ("ticker", "quantity", "price", "timestamp", "pnl"):
            for outcome, count in _counts(self.proven[f"{name}_check"]):
                summary.checks[name, Outcome(outcome)] += count
        for hints, count in _counts(self.proven["hints"]):
            for hint in hints.split(";"):
                summary.hints[Hint(hint)] += count
        summary.minutes.update(dict(_counts(self.proven["ns"] // NS_PER_MINUTE)))


class Screen(msgspec.Struct, frozen=True):
    """The rules in whole numbers: which checks are on, and the largest differences that are proven to agree."""

    checks: frozenset[str]
    price_units: int
    drift_ns: int
    pnl_units: int
    pnl_required: bool

    @classmethod
    def of(cls, rules: Rules) -> Self | None:
        """The screen for these rules; None when they ask for more than it can prove."""
        price_units = drift_ns = pnl_units = 0
        for rule in rules.checks:
            if isinstance(rule, Timestamp):
                if rule.precision is not Precision.EXACT:
                    return None
                drift_ns = rule.tolerance_ns - (rule.bound is Bound.STRICT)
            elif isinstance(rule, Price):
                price_units = _most_units(rule.tolerance)
            elif isinstance(rule, Pnl):
                pnl_units = _most_units(rule.tolerance)
        return cls(frozenset(rule.name for rule in rules.checks), price_units, drift_ns, pnl_units, rules.pnl_required)

    def prove(self, lines: Lines) -> Screened:
        """Split the lines of a part into trades that are proven to match, and other lines.

        The lines are of files with the founding columns, in their order. Where a trade has a line that is not plain, or
        two of one source, none of its lines are proven; but a line sent again word for word is one line.
        """
        lines = {source: sent.with_row_index("place") for source, sent in lines.items()}
        plain = {source: sent.filter(_LINE.str.contains(_PLAIN[source])) for source, sent in lines.items()}
        twice = {source: sent.filter(_TWICE) for source, sent in plain.items()}
        again = {source: sent.filter(~_LINE.is_first_distinct()) for source, sent in twice.items()}
        once = {source: sent.filter(~_PLACE.is_in(again[source]["place"].implode())) for source, sent in plain.items()}
        read = {source: (_snapshots if source is Source.PNL else _terms)(sent) for source, sent in once.items()}
        doubtful = pl.concat(
            [_but(sent, plain[source]["place"])["trade_id"] for source, sent in lines.items()]
            + [sent.filter(_LINE.is_first_distinct()).filter(_TWICE)["trade_id"] for sent in twice.values()]
            + [sent.filter(~_READ)["trade_id"] for sent in read.values()]
        )
        sure = {source: sent.filter(~_TRADE_ID.is_in(doubtful.implode())) for source, sent in read.items()}
        proven = self._proven(
            sure[Source.EXECUTIONS]
            .join(sure[Source.CONFIRMATIONS], on="trade_id", suffix="_c")
            .join(sure.get(Source.PNL, _NO_SNAPSHOTS), on="trade_id", how="left", suffix="_p")
        )
        repeated = proven.filter(_TRADE_ID.is_in(pl.concat([sent["trade_id"] for sent in again.values()]).implode()))
        again = {source: sent.filter(_TRADE_ID.is_in(repeated["trade_id"].implode())) for source, sent in again.items()}
        places = {Source.EXECUTIONS: "place", Source.CONFIRMATIONS: "place_c", Source.PNL: "place_p"}
        others = {
            source: _but(sent, pl.concat([proven[places[source]].drop_nulls(), again[source]["place"]]))
            for source, sent in lines.items()
        }
        return Screened(proven, {source: len(sent) for source, sent in again.items()}, others)

    def _proven(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """The pairs of which every check that is on is proven, with the columns of the output."""
        price, drift, pnl = pl.col("price_off"), pl.col("drift"), pl.col("pnl_off")
        expected = pl.col("units") * pl.col("quantity").cast(pl.Int64) - _units("commission")
        proofs = [pl.lit(value=True)]
        if "ticker" in self.checks:
            proofs.append(pl.col("ticker") == pl.col("ticker_c"))
        if "quantity" in self.checks:
            proofs.append(pl.col("quantity") == pl.col("quantity_c"))
        if "price" in self.checks:
            proofs.append((price == 0) | (price <= self.price_units))
        if "timestamp" in self.checks:
            proofs.append((drift == 0) | (drift <= self.drift_ns))
        if "pnl" in self.checks:
            proofs.append(((pnl == 0) | (pnl <= self.pnl_units)).fill_null(not self.pnl_required))
        return (
            pairs.with_columns(
                price_off=(pl.col("units") - pl.col("units_c")).abs(),
                drift=(pl.col("ns") - pl.col("ns_c")).abs(),
                pnl_off=(expected - _units("pnl_impact")).abs(),
            )
            .filter(proofs)
            .select(
                "place",
                "place_c",
                "place_p",
                "ns",
                "trade_id",
                state=pl.lit(State.MATCHED.value),
                reasons=_NOTHING,
                hints=_hints(),
                event_time=_instant("timestamp"),
                execution_ticker="ticker",
                execution_quantity="quantity",
                execution_price=_shortest("price"),
                execution_timestamp=_instant("timestamp"),
                confirmation_ticker="ticker_c",
                confirmation_quantity="quantity_c",
                confirmation_price=_shortest("price_c"),
                confirmation_timestamp=_instant("timestamp_c"),
                pnl_impact=_shortest("pnl_impact"),
                commission=_shortest("commission"),
                ticker_check=self._if_on("ticker", _PASS),
                quantity_check=self._if_on("quantity", _PASS),
                quantity_difference=self._if_on("quantity", _ZERO),
                price_check=self._if_on("price", _outcome(price)),
                price_difference=self._if_on("price", _decimal(price, _AMOUNT_DIGITS)),
                timestamp_check=self._if_on("timestamp", _outcome(drift)),
                timestamp_difference_ms=self._if_on("timestamp", _decimal(drift, _MS_DIGITS)),
                pnl_check=self._if_on("pnl", _outcome(pnl)),
                pnl_difference=self._if_on("pnl", _decimal(pnl, _AMOUNT_DIGITS)),
            )
        )

    def _if_on(self, check: str, column: pl.Expr) -> pl.Expr:
        return column if check in self.checks else _NOTHING


def _terms(plain: pl.DataFrame) -> pl.DataFrame:
    """Plain lines of executions or confirmations, their price in units, their time in ns (null: no such day)."""
    cells = ["ticker", "quantity", "price", "timestamp"]
    at = pl.col("timestamp")
    fraction = at.str.slice(20).str.strip_suffix("Z").str.pad_end(9, "0").cast(pl.Int64)
    return plain.select(
        "place", "trade_id", _LINE.str.split_exact(",", 4).struct.rename_fields(["", *cells]).struct.field(cells)
    ).with_columns(
        units=_units("price"),
        ns=(at.str.head(19).str.to_datetime(_SECOND, time_unit="ns", strict=False).cast(pl.Int64) + fraction),
    )


def _snapshots(plain: pl.DataFrame) -> pl.DataFrame:
    """Plain lines of pnl snapshots."""
    cells = ["pnl_impact", "commission"]
    split = _LINE.str.split_exact(",", 2).struct.rename_fields(["", *cells]).struct.field(cells)
    return plain.select("place", "trade_id", split).with_columns(ns=pl.lit(0, pl.Int64))


def _but(lines: pl.DataFrame, places: pl.Series) -> pl.DataFrame:
    """The lines (row i is place i) at all other places."""
    return lines.filter(pl.repeat(value=True, n=len(lines), dtype=pl.Boolean, eager=True).scatter(places, values=False))


def _units(name: str) -> pl.Expr:
    """An amount's text as a whole number of 0.0001."""
    parts = pl.col(name).str.split_exact(".", 1).struct
    return (parts[0] + parts[1].fill_null("").str.pad_end(_AMOUNT_DIGITS, "0")).cast(pl.Int64)


def _shortest(name: str) -> pl.Expr:
    """An amount's text without the zeros it does not need, as ``plain`` writes it."""
    sent = pl.col(name)
    short = sent.str.strip_chars_end("0").str.strip_chars_end(".")
    short = pl.when(sent.str.contains(".", literal=True)).then(short).otherwise(sent)
    return short.replace("-0", "0")


def _decimal(count: pl.Expr, digits: int) -> pl.Expr:
    """A whole number of 10^-digits, zero or more, as the shortest exact decimal text."""
    unit = 10**digits
    whole = (count // unit).cast(pl.String)
    fraction = (count % unit).cast(pl.String).str.zfill(digits).str.strip_chars_end("0")
    return pl.when(count % unit == 0).then(whole).otherwise(whole + "." + fraction)


def _instant(name: str) -> pl.Expr:
    """A plain timestamp as ``iso`` writes it: only three zeros can be more fraction digits than it needs."""
    sent = pl.col(name)
    return pl.when(sent.str.ends_with(".000Z")).then(sent.str.head(-5) + "Z").otherwise(sent)


def _outcome(difference: pl.Expr) -> pl.Expr:
    return (
        pl.when(difference.is_null())
        .then(pl.lit(Outcome.NOT_CHECKED.value))
        .when(difference == 0)
        .then(_PASS)
        .otherwise(pl.lit(Outcome.WITHIN_TOLERANCE.value))
    )


def _hints() -> pl.Expr:
    """What two plain timestamps show; the codes sorted, null for none."""
    ours, theirs = pl.col("ns"), pl.col("ns_c")
    early = pl.when(theirs < ours).then(pl.lit(Hint.CONFIRM_BEFORE_EXECUTION.value))
    rolled = pl.when(ours // NS_PER_DAY != theirs // NS_PER_DAY).then(pl.lit(Hint.TRADE_DATE_ROLL.value))
    return pl.concat_str(early, rolled, separator=";", ignore_nulls=True).replace("", None)


def _most_units(tolerance: Tolerance) -> int:
    """The largest difference in units that an absolute tolerance allows; of any other, none but zero is proven."""
    if not isinstance(tolerance, Absolute):
        return 0
    units = EXACT.multiply(tolerance.amount, _UNITS)
    whole = int(units)
    below = whole - 1 if tolerance.bound is Bound.STRICT and whole == units else whole
    return min(below, _LARGEST_UNITS)


def _counts(values: pl.Series) -> Iterable[tuple[Any, int]]:
    return values.drop_nulls().value_counts().iter_rows()
