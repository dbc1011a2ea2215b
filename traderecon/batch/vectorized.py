"""The screen: judges the plain trades of a part in columns, a million at once; whatever is not plain goes to the core.

    lines of a part ─> plain, one per source ─> every check in whole numbers ─> rows
                  └──────── everything else ──────────────────────────────────> the core, trade by trade

What a trade is, the core says: a screened run gives the bytes and the summary of an unscreened one, and property tests
hold it to that at every edge. Amounts are 64-bit integers in units of 0.0001, times in nanoseconds; the pattern of a
plain line keeps every product and sum of them below 2^63, and leaves no digit that could be rounded.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Self

import msgspec
import polars as pl

from traderecon.batch.summary import BREAKS_SHOWN, NS_PER_MINUTE, Summary
from traderecon.present.trade_row import COLUMNS
from traderecon.records import REASON_INFO, Hint, Outcome, Reason, Source, State
from traderecon.records.instants import NS_PER_DAY
from traderecon.records.numbers import EXACT
from traderecon.rules import Absolute, Bound, Precision, Quantity, Rules, Ticker, Timestamp

_AMOUNT_DIGITS, _MS_DIGITS = 4, 6
_ONE, _UNITS = Decimal(1), Decimal(10_000)
_LARGEST = 2**62

_KEY = r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}"
_AMOUNT = r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,4})?"
_TERMS = (
    rf"^{_KEY},[A-Za-z0-9][A-Za-z0-9./-]{{0,15}},[1-9][0-9]{{0,7}},(0|[1-9][0-9]{{0,5}})(\.[0-9]{{1,4}})?,"
    r"(19[89]|2[01][0-9])[0-9]-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{3}([0-9]{2}[1-9]|[0-9][1-9]0|[1-9]00)?)?Z$"
)
_PLAIN = {
    Source.EXECUTIONS: _TERMS,
    Source.CONFIRMATIONS: _TERMS,
    Source.PNL: rf"^{_KEY},{_AMOUNT},{_AMOUNT}$",
}
_SECOND = "%Y-%m-%dT%H:%M:%S"

_PLACE, _LINE, _TRADE_ID = pl.col("place"), pl.col("line"), pl.col("trade_id")
_OURS, _THEIRS = pl.col("ticker").is_not_null(), pl.col("ticker_c").is_not_null()
_TWICE = _TRADE_ID.is_duplicated()
_PERHAPS_TWICE = _TRADE_ID.hash().is_duplicated()
_OFF = pl.lit(None, pl.String)
_MATCHED, _MISMATCHED = pl.lit(State.MATCHED.value), pl.lit(State.MISMATCHED.value)
_BROKEN = pl.col("state") != State.MATCHED.value
_NO_SNAPSHOTS = pl.DataFrame(
    schema={
        "place": pl.UInt32,
        "trade_id": pl.String,
        "pnl_impact": pl.String,
        "commission": pl.String,
        "impact": pl.Int64,
        "cost": pl.Int64,
        "ns": pl.Int64,
    }
)

Lines = dict[Source, pl.DataFrame]
"""Per source: ``number`` in the file, ``line``, ``trade_id``."""


class VectorizedResult(msgspec.Struct, frozen=True):
    """What the screen made of a part.

    ``judged`` has a row per plain trade, ``worst`` the lines of the breaks a summary may show, ``again`` how many lines
    of the judged were sent again word for word, ``pnl_alone`` how many snapshots have no trade, ``others`` the lines it
    leaves to the core.
    """

    judged: pl.DataFrame
    worst: Lines
    again: dict[Source, int]
    pnl_alone: int
    others: Lines

    def rows(self) -> pl.DataFrame:
        """The judged trades in the columns of ``reconcile --out``; what is empty is null."""
        return self.judged.select(COLUMNS)

    def sum_up(self, summary: Summary) -> None:
        """Count the judged trades as ``Summary.judged`` would have; the breaks themselves are not added."""
        summary.pnl_alone += self.pnl_alone
        summary.duplicates.update({source: count for source, count in self.again.items() if count})
        summary.states.update({State(state): count for state, count in _counts(self.judged["state"])})
        for name in ("ticker", "quantity", "price", "timestamp", "pnl"):
            for outcome, count in _counts(self.judged[f"{name}_check"]):
                summary.checks[name, Outcome(outcome)] += count
        for hints, count in _counts(self.judged["hints"]):
            summary.hints.update(dict.fromkeys(map(Hint, hints.split(";")), count))
        broken = self.judged.filter(_BROKEN)
        for reasons, count in _counts(broken["reasons"]):
            summary.reasons.update(dict.fromkeys(map(Reason, reasons.split(";")), count))
        summary.minutes.update(dict(_counts(self.judged["at_ns"] // NS_PER_MINUTE)))
        summary.break_minutes.update(dict(_counts(broken["at_ns"] // NS_PER_MINUTE)))
        summary.break_tickers.update(dict(_counts(broken["break_ticker"])))
        units = broken["notional"].cast(pl.Int128).sum()
        summary.notional_at_risk = EXACT.add(summary.notional_at_risk, EXACT.scaleb(Decimal(units), -_AMOUNT_DIGITS))


class VectorizedRules(msgspec.Struct, frozen=True):
    """The rules in whole numbers: per check that is on, the largest difference that agrees."""

    most: dict[str, int]
    pnl_required: bool

    @classmethod
    def of(cls, rules: Rules) -> Self | None:
        """The screen for these rules; None when they ask for more than it can do."""
        most: dict[str, int] = {}
        for rule in rules.checks:
            if isinstance(rule, Ticker):
                most[rule.name] = 0
            elif isinstance(rule, Timestamp):
                if rule.precision is not Precision.EXACT:
                    return None
                most[rule.name] = rule.tolerance_ns - (rule.bound is Bound.STRICT)
            elif isinstance(rule.tolerance, Absolute):
                most[rule.name] = _most(rule.tolerance, _ONE if isinstance(rule, Quantity) else _UNITS)
            else:
                return None
        return cls(most, rules.pnl_required)

    def judge(self, lines: Lines) -> VectorizedResult:
        """Judge the plain trades among the lines of a part.

        The lines are of files with the founding columns, in their order. Where a trade has a line that is not plain, or
        two of one source, all of its lines are the core's; but a line sent again word for word is one line.
        """
        lines = {source: sent.with_row_index("place") for source, sent in lines.items()}
        plain = _at_once({source: sent.lazy().filter(_is_plain(source)) for source, sent in lines.items()})
        twice = {source: sent.filter(_PERHAPS_TWICE) for source, sent in plain.items()}
        again = {source: sent.filter(~_LINE.is_first_distinct()) for source, sent in twice.items()}
        once = {source: sent.filter(~_PLACE.is_in(again[source]["place"].implode())) for source, sent in plain.items()}
        read = _at_once(
            {source: (_snapshots if source is Source.PNL else _terms)(sent.lazy()) for source, sent in once.items()}
        )
        doubtful = pl.concat(
            [_but(sent, plain[source]["place"])["trade_id"] for source, sent in lines.items()]
            + [sent.filter(_LINE.is_first_distinct()).filter(_TWICE)["trade_id"] for sent in twice.values()]
            + [sent.filter(pl.col("ns").is_null())["trade_id"] for sent in read.values()]  # 31 June has a day's pattern
        ).implode()
        sure = {source: sent.filter(~_TRADE_ID.is_in(doubtful)) for source, sent in read.items()}
        trades = (
            sure[Source.EXECUTIONS]
            .join(sure[Source.CONFIRMATIONS], on="trade_id", how="full", suffix="_c", coalesce=True)
            .join(sure.get(Source.PNL, _NO_SNAPSHOTS), on="trade_id", how="full", suffix="_p", coalesce=True)
        )
        judged = self._judged(trades.filter(_OURS | _THEIRS))
        worst = judged.filter(_BROKEN).sort("urgency", -pl.col("notional"), "trade_id").head(BREAKS_SHOWN)["trade_id"]
        again = {source: sent.filter(~_TRADE_ID.is_in(doubtful)) for source, sent in again.items()}
        return VectorizedResult(
            judged=judged,
            worst={source: sent.filter(_TRADE_ID.is_in(worst.implode())) for source, sent in once.items()},
            again={source: len(sent) for source, sent in again.items()},
            pnl_alone=len(trades) - len(judged),
            others={
                source: _but(sent, pl.concat([sure[source]["place"], again[source]["place"]]))
                for source, sent in lines.items()
            },
        )

    def _judged(self, trades: pl.DataFrame) -> pl.DataFrame:
        """The output's columns for trades with a leg on at least one side, and what a summary counts."""
        both = _OURS & _THEIRS
        notional = pl.col("units") * pl.col("shares")
        off = {
            "ticker": (pl.col("ticker") != pl.col("ticker_c")).cast(pl.Int64),
            "quantity": (pl.col("shares") - pl.col("shares_c")).abs(),
            "price": (pl.col("units") - pl.col("units_c")).abs(),
            "timestamp": (pl.col("ns") - pl.col("ns_c")).abs(),
            "pnl": pl.when(both).then((notional - pl.col("cost") - pl.col("impact")).abs()),
        }
        trades = trades.with_columns(
            _instant("timestamp"), _instant("timestamp_c"), **{f"{name}_off": apart for name, apart in off.items()}
        )
        fails = {name: self._fails(name, pl.col(f"{name}_off")) for name in off}
        reasons = {  # in the order of their names
            Reason.MISSING_CONFIRMATION: ~_THEIRS,
            Reason.MISSING_EXECUTION: ~_OURS,
            Reason.MISSING_PNL: both & pl.col("place_p").is_null() & self.pnl_required,
            Reason.PNL_INCONSISTENT: fails["pnl"],
            Reason.PRICE_MISMATCH: fails["price"],
            Reason.QUANTITY_MISMATCH: fails["quantity"],
            Reason.TICKER_MISMATCH: fails["ticker"],
            Reason.TIMESTAMP_DRIFT: fails["timestamp"],
        }
        ours_ns, theirs_ns, impact = pl.col("ns"), pl.col("ns_c"), pl.col("impact")
        theirs_off = (pl.col("units_c") * pl.col("shares_c") - pl.col("cost") - impact).abs()
        suspect = (2 * pl.col("pnl_off") > notional) & (10 * impact.abs() < notional)
        fits = (fails["price"] | fails["quantity"]) & ~self._fails("pnl", theirs_off)
        hints = {  # in the order of their names
            Hint.CONFIRM_BEFORE_EXECUTION: theirs_ns < ours_ns,
            Hint.PNL_BASIS_SUSPECT: fails["pnl"] & suspect,
            Hint.PNL_FITS_CONFIRMATION: fails["pnl"] & fits,
            Hint.TRADE_DATE_ROLL: ours_ns // NS_PER_DAY != theirs_ns // NS_PER_DAY,
        }
        state = pl.when(~both).then(pl.lit(State.UNMATCHED.value))
        urgency = [pl.when(holds).then(REASON_INFO[reason].severity.rank) for reason, holds in reasons.items()]
        return trades.select(
            "trade_id",
            state=state.when(pl.any_horizontal(reasons.values())).then(_MISMATCHED).otherwise(_MATCHED),
            reasons=_codes(reasons),
            hints=_codes(hints),
            event_time=pl.coalesce("timestamp", "timestamp_c"),
            execution_ticker="ticker",
            execution_quantity="quantity",
            execution_price=_shortest("price"),
            execution_timestamp="timestamp",
            confirmation_ticker="ticker_c",
            confirmation_quantity="quantity_c",
            confirmation_price=_shortest("price_c"),
            confirmation_timestamp="timestamp_c",
            pnl_impact=_shortest("pnl_impact"),
            commission=_shortest("commission"),
            ticker_check=self._outcome("ticker"),
            quantity_check=self._outcome("quantity"),
            quantity_difference=self._difference("quantity", 0),
            price_check=self._outcome("price"),
            price_difference=self._difference("price", _AMOUNT_DIGITS),
            timestamp_check=self._outcome("timestamp"),
            timestamp_difference_ms=self._difference("timestamp", _MS_DIGITS),
            pnl_check=self._outcome("pnl"),
            pnl_difference=self._difference("pnl", _AMOUNT_DIGITS),
            contested=_OFF,
            urgency=pl.min_horizontal(urgency),
            notional=pl.coalesce(notional, pl.col("units_c") * pl.col("shares_c")),
            break_ticker=pl.coalesce("ticker", "ticker_c"),
            at_ns=pl.coalesce("ns", "ns_c"),
        )

    def _fails(self, check: str, off: pl.Expr) -> pl.Expr:
        """Whether a check that is on and has its operands is further off than allowed; never when it is equal."""
        if check not in self.most:
            return pl.lit(value=False)
        return ((off != 0) & (off > self.most[check])).fill_null(value=False)

    def _outcome(self, check: str) -> pl.Expr:
        off = pl.col(f"{check}_off")
        if check not in self.most:
            return _OFF
        return (
            pl.when(off.is_null())
            .then(pl.lit(Outcome.NOT_CHECKED.value))
            .when(off == 0)
            .then(pl.lit(Outcome.PASS.value))
            .when(off <= self.most[check])
            .then(pl.lit(Outcome.WITHIN_TOLERANCE.value))
            .otherwise(pl.lit(Outcome.FAIL.value))
        )

    def _difference(self, check: str, digits: int) -> pl.Expr:
        """A whole number of 10^-digits as the shortest exact decimal text."""
        if check not in self.most:
            return _OFF
        count, unit = pl.col(f"{check}_off"), 10**digits
        whole = (count // unit).cast(pl.String)
        fraction = (count % unit).cast(pl.String).str.zfill(digits).str.strip_chars_end("0")
        return pl.when(count % unit == 0).then(whole).otherwise(whole + "." + fraction)


def _at_once(plans: dict[Source, pl.LazyFrame]) -> Lines:
    """The files worked on side by side."""
    return dict(zip(plans, pl.collect_all(plans.values()), strict=True))


def _is_plain(source: Source) -> pl.Expr:
    return _LINE.str.contains(_PLAIN[source])


def _terms(plain: pl.LazyFrame) -> pl.LazyFrame:
    """Plain lines of executions or confirmations, with their quantity, price units and time in whole numbers."""
    cells = ["ticker", "quantity", "price", "timestamp"]
    at = pl.col("timestamp")
    fraction = at.str.slice(20).str.strip_suffix("Z").str.pad_end(9, "0").cast(pl.Int64)
    return plain.select(
        "place", "trade_id", _LINE.str.split_exact(",", 4).struct.rename_fields(["", *cells]).struct.field(cells)
    ).with_columns(
        shares=pl.col("quantity").cast(pl.Int64),
        units=_units("price"),
        ns=at.str.head(19).str.to_datetime(_SECOND, time_unit="ns", strict=False).cast(pl.Int64) + fraction,
    )


def _snapshots(plain: pl.LazyFrame) -> pl.LazyFrame:
    """Plain lines of pnl snapshots, with their amounts in whole numbers; they have no time to misread."""
    cells = ["pnl_impact", "commission"]
    return plain.select(
        "place", "trade_id", _LINE.str.split_exact(",", 2).struct.rename_fields(["", *cells]).struct.field(cells)
    ).with_columns(impact=_units("pnl_impact"), cost=_units("commission"), ns=pl.lit(0))


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
    return pl.when(sent.str.contains(".", literal=True)).then(short).otherwise(sent).replace("-0", "0")


def _instant(name: str) -> pl.Expr:
    """A plain timestamp as ``iso`` writes it: only three zeros can be more fraction digits than it needs."""
    sent = pl.col(name)
    return pl.when(sent.str.ends_with(".000Z")).then(sent.str.head(-5) + "Z").otherwise(sent).alias(name)


def _codes(holds: Mapping[Reason, pl.Expr] | Mapping[Hint, pl.Expr]) -> pl.Expr:
    """The codes that hold, joined by ``;``; null for none. Which of them hold is one number, and its text looked up."""
    bits = {code: 1 << place for place, code in enumerate(holds)}
    texts = [";".join(code for code, bit in bits.items() if number & bit) or None for number in range(1 << len(bits))]
    number = pl.sum_horizontal(
        condition.fill_null(value=False).cast(pl.UInt16) * bits[code] for code, condition in holds.items()
    )
    return pl.lit(pl.Series(texts, dtype=pl.String)).gather(number)


def _most(tolerance: Absolute, units_in_one: Decimal) -> int:
    """The largest difference in units that the tolerance allows."""
    units = EXACT.multiply(tolerance.amount, units_in_one)
    whole = int(units)
    return min(whole - 1 if tolerance.bound is Bound.STRICT and whole == units else whole, _LARGEST)


def _counts(values: pl.Series) -> Iterable[tuple[Any, int]]:
    return values.drop_nulls().value_counts().iter_rows()
