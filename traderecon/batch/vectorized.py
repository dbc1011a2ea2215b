"""Vectorized rules: judge the plain trades of a part in columns, a million at once, and leave the others to the core.

    lines of a part ─> plain, one per source ─> every check in integers ─> rows
                  └──────── everything else ─────────────────────────────> the core, trade by trade

The core is the definition: a vectorized run gives the same bytes and summary, which property tests verify at every
edge. Amounts are 64-bit integers in units of 0.0001, times in nanoseconds; the pattern of a plain line keeps every
product and sum below 2^63, and leaves no digit to round.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Self, assert_never, get_args

import msgspec
import polars as pl

from traderecon.batch.plain_lines import AMOUNT_DIGITS, decimal_text, instant, is_plain, shortest, snapshots, terms
from traderecon.batch.summary import BREAKS_SHOWN, NS_PER_MINUTE, ORPHANS_SHOWN, Summary
from traderecon.matching.compared import TERMS
from traderecon.matching.totals import Account, Totals, merge
from traderecon.present.trade_row import COLUMNS
from traderecon.records import REASON_INFO, Hint, Outcome, Reason, Severity, Source, State
from traderecon.records.instants import NS_PER_DAY
from traderecon.records.numbers import EXACT
from traderecon.rules import (
    Absolute,
    Attribute,
    Bound,
    Commission,
    Pnl,
    Precision,
    Price,
    Quantity,
    Rules,
    Ticker,
    Timestamp,
)
from traderecon.rules.rules import AttributeRule, Rule

_MS_DIGITS = 6
_ONE, _UNITS = Decimal(1), Decimal(10_000)
_LARGEST = 2**62

_INDEX, _LINE, _TRADE_ID = pl.col("index"), pl.col("line"), pl.col("trade_id")
_TICKER, _SIDES = pl.col("ticker"), (Source.EXECUTIONS, Source.CONFIRMATIONS)
_OURS, _THEIRS = pl.col("ticker").is_not_null(), pl.col("ticker_c").is_not_null()
_DUPLICATED = _TRADE_ID.is_duplicated()
_PERHAPS_DUPLICATED = _TRADE_ID.hash().is_duplicated()
_NULL = pl.lit(None, pl.String)
_MATCHED, _MISMATCHED = pl.lit(State.MATCHED.value), pl.lit(State.MISMATCHED.value)
_SEVERITIES = {severity.rank: severity.value for severity in Severity}
_IS_BREAK = pl.col("state") != State.MATCHED.value
_NO_SNAPSHOTS = pl.DataFrame(
    schema={
        "index": pl.UInt32,
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
_CHECKS = [rule.name for rule in get_args(Rule) if rule not in get_args(AttributeRule)]
"""Plain lines have no attributes."""


class VectorizedResult(msgspec.Struct, frozen=True):
    """The result of the vectorized rules for one part.

    ``judged``: a row per plain trade; ``worst``: the lines of the breaks a summary may show; ``repeated``: number of
    exact repetitions of judged lines; ``orphans``: the trades with only a snapshot; ``others``: the lines left to
    the core.
    """

    judged: pl.DataFrame
    worst: Lines
    repeated: dict[Source, int]
    orphans: pl.Series
    others: Lines

    def rows(self) -> pl.DataFrame:
        """The judged trades in the columns of ``reconcile --out``; empty cells are null."""
        return self.judged.select(COLUMNS)

    def add_to(self, summary: Summary) -> None:
        """Count the judged trades as ``Summary.add_trade`` does, without adding the breaks themselves."""
        summary.pnl_alone += len(self.orphans)
        summary.orphans = [*summary.orphans, *self.orphans.sort().head(ORPHANS_SHOWN)]
        summary.duplicates.update({source: count for source, count in self.repeated.items() if count})
        summary.states.update({State(state): count for state, count in _counts(self.judged["state"])})
        for name in _CHECKS:
            for outcome, count in _counts(self.judged[f"{name}_check"]):
                summary.checks[name, Outcome(outcome)] += count
        for hints, count in _counts(self.judged["hints"]):
            summary.hints.update(dict.fromkeys(map(Hint, hints.split(";")), count))
        breaks = self.judged.filter(_IS_BREAK)
        for reasons, count in _counts(breaks["reasons"]):
            summary.reasons.update(dict.fromkeys(map(Reason, reasons.split(";")), count))
        summary.minutes.update(dict(_counts(self.judged["at_ns"] // NS_PER_MINUTE)))
        summary.break_minutes.update(dict(_counts(breaks["at_ns"] // NS_PER_MINUTE)))
        summary.break_tickers.update(dict(_counts(breaks["break_ticker"])))
        if len(self.judged):
            merge(summary.totals, {Account("", ""): self._totals(breaks)})

    def _totals(self, breaks: pl.DataFrame) -> Totals:
        """The control totals; plain lines name neither a broker nor a currency."""
        ours, theirs, stake = "notional_e", "notional_c", "stake_units"
        agreeing = self.judged.filter(~_IS_BREAK)
        compared = agreeing.filter(pl.all_horizontal(pl.col("price_check", "quantity_check").is_not_null()))
        difference = _sum(agreeing, ours) - _sum(agreeing, theirs)
        tolerated = _sum(compared, ours) - _sum(compared, theirs)
        return Totals(
            executions=_amount(_sum(self.judged, ours)),
            confirmations=_amount(_sum(self.judged, theirs)),
            breaks=_amount(_sum(breaks, ours) - _sum(breaks, theirs)),
            tolerated=_amount(tolerated),
            not_compared=_amount(difference - tolerated),
            at_stake=_amount(_sum(breaks, stake)),
        )


class VectorizedRules(msgspec.Struct, frozen=True):
    """The rules in integers: ``limits`` has the largest difference that agrees for each active check.

    ``overridden``: tickers that have rules of their own; their trades are left to the core. ``price_tolerance``: the
    tolerance of the price, its fraction of a unit cut off; -1 if the check is off.
    """

    limits: dict[str, int]
    pnl_required: bool
    overridden: tuple[str, ...] = ()
    price_tolerance: int = -1

    @classmethod
    def of(cls, rules: Rules) -> Self | None:
        """The vectorized form of these rules; None if they cannot be vectorized."""
        # Plain lines have no broker and no account, so an override that asks for one never applies to them.
        overrides = [override for override in rules.overrides or () if override.broker is override.account is None]
        overridden = tuple(sorted({override.ticker for override in overrides if override.ticker is not None}))
        if rules.severity or any(override.ticker is None for override in overrides):
            return None
        limits: dict[str, int] = {}
        price_tolerance = -1
        for rule in rules.checks:
            match rule:
                case Ticker():
                    limits[rule.name] = 0
                case Quantity(tolerance=Absolute() as tolerance):
                    limits[rule.name] = _limit(tolerance, _ONE)
                case Price(tolerance=Absolute() as tolerance):
                    limits[rule.name] = _limit(tolerance, _UNITS)
                    price_tolerance = min(int(EXACT.multiply(tolerance.amount, _UNITS)), _LARGEST)
                case Pnl(tolerance=Absolute() as tolerance) if rule == Pnl(tolerance=tolerance):
                    limits[rule.name] = _limit(tolerance, _UNITS)
                case Timestamp(precision=Precision.EXACT):
                    limits[rule.name] = rule.tolerance_ns - (rule.bound is Bound.STRICT)
                case Quantity() | Price() | Pnl() | Timestamp() | Attribute() | Commission():
                    return None  # an attribute among the checks must be present, and plain lines have none
                case _:  # a new rule has to be named here, if only to leave its trades to the core
                    assert_never(rule)
        return cls(limits, rules.pnl_required, overridden, price_tolerance)

    def judge(self, lines: Lines) -> VectorizedResult:
        """Judge the plain trades among the lines of a part.

        The lines must have the founding columns in their order. If a trade has a line that is not plain, or two
        different lines of one source, all its lines are left to the core; exact repetitions count as one line.
        """
        lines = {source: sent.with_row_index("index") for source, sent in lines.items()}
        plain = _collect({source: sent.lazy().filter(is_plain(source)) for source, sent in lines.items()})
        candidates = {source: sent.filter(_PERHAPS_DUPLICATED) for source, sent in plain.items()}
        repeated = {source: sent.filter(~_LINE.is_first_distinct()) for source, sent in candidates.items()}
        distinct = {
            source: sent.filter(~_INDEX.is_in(repeated[source]["index"].implode())) for source, sent in plain.items()
        }
        parsed = _collect(
            {source: (snapshots if source is Source.PNL else terms)(sent.lazy()) for source, sent in distinct.items()}
        )
        for_core = pl.concat(
            [_without(sent, plain[source]["index"])["trade_id"] for source, sent in lines.items()]
            + [sent.filter(_LINE.is_first_distinct()).filter(_DUPLICATED)["trade_id"] for sent in candidates.values()]
            + [sent.filter(pl.col("ns").is_null())["trade_id"] for sent in parsed.values()]  # 31 June fits the pattern
            + [
                parsed[source].filter(_TICKER.is_in(self.overridden))["trade_id"]
                for source in _SIDES
                if self.overridden
            ]
        ).implode()
        accepted = {source: sent.filter(~_TRADE_ID.is_in(for_core)) for source, sent in parsed.items()}
        trades = (
            accepted[Source.EXECUTIONS]
            .join(accepted[Source.CONFIRMATIONS], on="trade_id", how="full", suffix="_c", coalesce=True)
            .join(accepted.get(Source.PNL, _NO_SNAPSHOTS), on="trade_id", how="full", suffix="_p", coalesce=True)
        )
        judged = self._judge_trades(trades.filter(_OURS | _THEIRS))
        worst = (
            judged.filter(_IS_BREAK).sort("urgency", -pl.col("stake_units"), "trade_id").head(BREAKS_SHOWN)["trade_id"]
        )
        repeated = {source: sent.filter(~_TRADE_ID.is_in(for_core)) for source, sent in repeated.items()}
        return VectorizedResult(
            judged=judged,
            worst={source: sent.filter(_TRADE_ID.is_in(worst.implode())) for source, sent in distinct.items()},
            repeated={source: len(sent) for source, sent in repeated.items()},
            orphans=trades.filter(~(_OURS | _THEIRS))["trade_id"],
            others={
                source: _without(sent, pl.concat([accepted[source]["index"], repeated[source]["index"]]))
                for source, sent in lines.items()
            },
        )

    def _judge_trades(self, trades: pl.DataFrame) -> pl.DataFrame:
        """The output columns, and those a summary counts, for trades with a leg on at least one side."""
        both = _OURS & _THEIRS
        notional, notional_c = pl.col("units") * pl.col("shares"), pl.col("units_c") * pl.col("shares_c")
        differences = {
            "ticker": (pl.col("ticker") != pl.col("ticker_c")).cast(pl.Int64),
            "quantity": (pl.col("shares") - pl.col("shares_c")).abs(),
            "price": (pl.col("units") - pl.col("units_c")).abs(),
            "timestamp": (pl.col("ns") - pl.col("ns_c")).abs(),
            "pnl": pl.when(both).then((notional - pl.col("cost") - pl.col("impact")).abs()),
        }
        trades = trades.with_columns(
            instant("timestamp"),
            instant("timestamp_c"),
            **{f"{name}_off": difference for name, difference in differences.items()},
        )
        fails = {name: self._fails(name, pl.col(f"{name}_off")) for name in differences}
        reasons = {  # sorted by name
            Reason.MISSING_CONFIRMATION: ~_THEIRS,
            Reason.MISSING_EXECUTION: ~_OURS,
            Reason.MISSING_PNL: both & pl.col("index_p").is_null() & self.pnl_required,
            Reason.PNL_INCONSISTENT: fails["pnl"],
            Reason.PRICE_MISMATCH: fails["price"],
            Reason.QUANTITY_MISMATCH: fails["quantity"],
            Reason.TICKER_MISMATCH: fails["ticker"],
            Reason.TIMESTAMP_DRIFT: fails["timestamp"],
        }
        ours_ns, theirs_ns, impact = pl.col("ns"), pl.col("ns_c"), pl.col("impact")
        theirs_off = (notional_c - pl.col("cost") - impact).abs()
        suspect = (2 * pl.col("pnl_off") > notional) & (10 * impact.abs() < notional)
        total = notional + pl.col("cost")
        fits = {  # plain lines have no side, so a purchase may have been meant, or a sale
            Hint.PNL_FITS_CASH_FLOW: ~self._fails("pnl", (total + impact).abs()),
            Hint.PNL_FITS_CONFIRMATION: ~self._fails("pnl", theirs_off),
            Hint.PNL_FITS_GROSS: ~self._fails("pnl", (notional - impact).abs()),
            Hint.PNL_FITS_NET_CONSIDERATION_SIDED: ~self._fails("pnl", (total - impact).abs()),
        }
        hints = {  # sorted by name
            Hint.CONFIRM_BEFORE_EXECUTION: theirs_ns < ours_ns,
            Hint.PNL_BASIS_SUSPECT: fails["pnl"] & suspect,
            **{hint: fails["pnl"] & fit for hint, fit in fits.items()},
            Hint.TICKER_CASE: fails["ticker"]
            & (pl.col("ticker").str.to_lowercase() == pl.col("ticker_c").str.to_lowercase()),  # they are ASCII
            Hint.TOLERANCE_COVERS_PRICE: (pl.col("price_off") != 0)
            & ~fails["price"]
            & (pl.min_horizontal("units", "units_c") <= self.price_tolerance)
            & both,
            Hint.TRADE_DATE_ROLL: ours_ns // NS_PER_DAY != theirs_ns // NS_PER_DAY,
        }
        state = pl.when(~both).then(pl.lit(State.UNMATCHED.value))
        broken = ~both | pl.any_horizontal(reasons.values())
        terms_off = pl.col("price_off") * pl.col("shares") + pl.col("quantity_off") * pl.col("units_c")
        whole = ~both | fails["ticker"]
        stake = (
            pl.when(whole)
            .then(pl.coalesce(notional, notional_c))
            .otherwise(pl.max_horizontal(terms_off, pl.when(fails["pnl"]).then(pl.col("pnl_off"))))
        )
        stake = pl.when(broken).then(stake)
        urgency = [pl.when(applies).then(REASON_INFO[reason].severity.rank) for reason, applies in reasons.items()]
        return trades.select(
            "trade_id",
            state=state.when(pl.any_horizontal(reasons.values())).then(_MISMATCHED).otherwise(_MATCHED),
            reasons=_codes(reasons),
            hints=_codes(hints),
            event_time=pl.coalesce("timestamp", "timestamp_c"),
            execution_ticker="ticker",
            execution_quantity="quantity",
            execution_price=shortest("price"),
            execution_timestamp="timestamp",
            confirmation_ticker="ticker_c",
            confirmation_quantity="quantity_c",
            confirmation_price=shortest("price_c"),
            confirmation_timestamp="timestamp_c",
            pnl_impact=shortest("pnl_impact"),
            commission=shortest("commission"),
            ticker_check=self._outcome("ticker"),
            quantity_check=self._outcome("quantity"),
            quantity_difference=self._difference("quantity", 0),
            price_check=self._outcome("price"),
            price_difference=self._difference("price", AMOUNT_DIGITS),
            timestamp_check=self._outcome("timestamp"),
            timestamp_difference_ms=self._difference("timestamp", _MS_DIGITS),
            pnl_check=self._outcome("pnl"),
            pnl_difference=self._difference("pnl", AMOUNT_DIGITS),
            contested=_NULL,
            agreed=self._count((Outcome.PASS, Outcome.WITHIN_TOLERANCE)),
            differing=self._count((Outcome.FAIL,)),
            sent_by_both=pl.when(both).then(pl.lit(str(len(TERMS)))).otherwise(pl.lit("0")),
            sent_by_one=pl.when(both).then(pl.lit("0")).otherwise(pl.lit(str(len(TERMS)))),
            attributes=_NULL,
            severity=pl.min_horizontal(urgency).replace_strict(_SEVERITIES, return_dtype=pl.String),
            at_stake=decimal_text(stake, AMOUNT_DIGITS),
            at_stake_currency=_NULL,
            urgency=pl.min_horizontal(urgency),
            stake_units=stake,
            notional_e=notional.fill_null(0),
            notional_c=notional_c.fill_null(0),
            break_ticker=pl.coalesce("ticker", "ticker_c"),
            at_ns=pl.coalesce("ns", "ns_c"),
        )

    def _fails(self, check: str, difference: pl.Expr) -> pl.Expr:
        """Whether an active check with both operands exceeds its limit; never if the operands are equal."""
        if check not in self.limits:
            return pl.lit(value=False)
        return ((difference != 0) & (difference > self.limits[check])).fill_null(value=False)

    def _outcome(self, check: str) -> pl.Expr:
        difference = pl.col(f"{check}_off")
        if check not in self.limits:
            return _NULL
        return (
            pl.when(difference.is_null())
            .then(pl.lit(Outcome.NOT_CHECKED.value))
            .when(difference == 0)
            .then(pl.lit(Outcome.PASS.value))
            .when(difference <= self.limits[check])
            .then(pl.lit(Outcome.WITHIN_TOLERANCE.value))
            .otherwise(pl.lit(Outcome.FAIL.value))
        )

    def _count(self, outcomes: Collection[Outcome]) -> pl.Expr:
        """How many terms have one of these outcomes, as text."""
        return pl.sum_horizontal(self._outcome(name).is_in(outcomes).fill_null(value=False) for name in TERMS).cast(
            pl.String
        )

    def _difference(self, check: str, digits: int) -> pl.Expr:
        """The difference of an active check, of which 10^digits units are 1, as text."""
        return decimal_text(pl.col(f"{check}_off"), digits) if check in self.limits else _NULL


def _sum(rows: pl.DataFrame, name: str) -> int:
    """The exact sum of a column, which may exceed 64 bits."""
    return int(rows[name].cast(pl.Int128).sum())


def _amount(units: int) -> Decimal:
    """A number of units as an amount."""
    return EXACT.scaleb(Decimal(units), -AMOUNT_DIGITS)


def _collect(plans: dict[Source, pl.LazyFrame]) -> Lines:
    """Run the plans in parallel."""
    return dict(zip(plans, pl.collect_all(plans.values()), strict=True))


def _without(lines: pl.DataFrame, indexes: pl.Series) -> pl.DataFrame:
    """The lines at all other indexes; row i must have index i."""
    keep = pl.repeat(value=True, n=len(lines), dtype=pl.Boolean, eager=True).scatter(indexes, values=False)
    return lines.filter(keep)


def _codes(conditions: Mapping[Reason, pl.Expr] | Mapping[Hint, pl.Expr]) -> pl.Expr:
    """The codes whose condition is true, joined by ``;``, null for none: a bit mask indexes the possible texts."""
    bits = {code: 1 << index for index, code in enumerate(conditions)}
    texts = [";".join(code for code, bit in bits.items() if mask & bit) or None for mask in range(1 << len(bits))]
    mask = pl.sum_horizontal(
        condition.fill_null(value=False).cast(pl.UInt16) * bits[code] for code, condition in conditions.items()
    )
    return pl.lit(pl.Series(texts, dtype=pl.String)).gather(mask)


def _limit(tolerance: Absolute, units_in_one: Decimal) -> int:
    """The largest difference, in units, that the tolerance allows."""
    units = EXACT.multiply(tolerance.amount, units_in_one)
    whole = int(units)
    return min(whole - 1 if tolerance.bound is Bound.STRICT and whole == units else whole, _LARGEST)


def _counts(values: pl.Series) -> Iterable[tuple[Any, int]]:
    return values.drop_nulls().value_counts().iter_rows()
