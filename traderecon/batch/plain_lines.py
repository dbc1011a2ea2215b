"""Plain lines: a data line in the usual spelling, as columns of integers and texts, and back.

    "T1,AAPL,100,190.50,2025-07-26T10:01:23.000Z"  ->  shares 100, units 1905000, ns 1753524083000000000

An amount is an integer in units of 0.0001. The pattern of a plain line keeps every product and sum below 2^63, and
leaves no digit to round.
"""

import polars as pl

from traderecon.records import Source

AMOUNT_DIGITS = 4

_KEY = r"(?:[A-Za-z0-9][A-Za-z0-9._:/#-]{4,63}|[A-Za-z]?[0-9][A-Za-z0-9._:/#-]{0,3})"
"""A short one has a digit in it: NULL and N/A are no ids."""
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
_LINE = pl.col("line")


def is_plain(source: Source) -> pl.Expr:
    """Whether a data line of this source is plain."""
    return _LINE.str.contains(_PLAIN[source])


def terms(plain: pl.LazyFrame) -> pl.LazyFrame:
    """Plain lines of executions or confirmations, with quantity, price and time as integers."""
    cells = ["ticker", "quantity", "price", "timestamp"]
    timestamp = pl.col("timestamp")
    fraction = timestamp.str.slice(20).str.strip_suffix("Z").str.pad_end(9, "0").cast(pl.Int64)
    return plain.select(
        "index", "trade_id", _LINE.str.split_exact(",", 4).struct.rename_fields(["", *cells]).struct.field(cells)
    ).with_columns(
        shares=pl.col("quantity").cast(pl.Int64),
        units=_units("price"),
        ns=timestamp.str.head(19).str.to_datetime(_SECOND, time_unit="ns", strict=False).cast(pl.Int64) + fraction,
    )


def snapshots(plain: pl.LazyFrame) -> pl.LazyFrame:
    """Plain lines of pnl snapshots, with their amounts as integers; they have no timestamp that could be invalid."""
    cells = ["pnl_impact", "commission"]
    return plain.select(
        "index", "trade_id", _LINE.str.split_exact(",", 2).struct.rename_fields(["", *cells]).struct.field(cells)
    ).with_columns(impact=_units("pnl_impact"), cost=_units("commission"), ns=pl.lit(0))


def _units(name: str) -> pl.Expr:
    """An amount's text as an integer in units of 0.0001."""
    parts = pl.col(name).str.split_exact(".", 1).struct
    return (parts[0] + parts[1].fill_null("").str.pad_end(AMOUNT_DIGITS, "0")).cast(pl.Int64)


def shortest(name: str) -> pl.Expr:
    """An amount's text without unneeded zeros, as ``plain`` writes it."""
    text = pl.col(name)
    short = text.str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.when(text.str.contains(".", literal=True)).then(short).otherwise(text).replace("-0", "0")


def instant(name: str) -> pl.Expr:
    """A plain timestamp as ``iso`` writes it: the only unneeded fraction digits can be three zeros."""
    text = pl.col(name)
    return pl.when(text.str.ends_with(".000Z")).then(text.str.head(-5) + "Z").otherwise(text).alias(name)


def decimal_text(count: pl.Expr, digits: int) -> pl.Expr:
    """An integer of zero or more, in units of 10^-digits, as the shortest exact decimal text."""
    unit = 10**digits
    whole = (count // unit).cast(pl.String)
    fraction = (count % unit).cast(pl.String).str.zfill(digits).str.strip_chars_end("0")
    return pl.when(count % unit == 0).then(whole).otherwise(whole + "." + fraction)
