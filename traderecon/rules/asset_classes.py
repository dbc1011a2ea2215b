"""Asset classes: which tickers an override for an asset class is about, as the rules file lists them.

    [AssetClass("equity", ("AAPL", "BRK.*")), ...]  ->  AssetClasses  ->  of("BRK.B")  ->  "equity"

A full ticker takes precedence over a prefix (``ES*``: every ticker that begins so), a longer prefix over a shorter one.
The list is part of the rules and of their hash, so a trade has the same class whatever its feeds send. Source:
DOMAIN.md 9; B22.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

ANY = "*"
"""At the end of a prefix."""
MAX_TICKERS = 10_000
"""In all classes; the list is part of every record of a change of rules."""


class AssetClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class with its tickers, in the spelling of the legs, and prefixes of tickers."""

    name: str
    tickers: tuple[str, ...]


class AssetClasses:
    """Finds the class of a ticker."""

    def __init__(self, classes: Sequence[AssetClass]) -> None:
        listed = {ticker: it.name for it in classes for ticker in it.tickers}
        self._names = {ticker: name for ticker, name in listed.items() if not ticker.endswith(ANY)}
        self._prefixes = {ticker.removesuffix(ANY): name for ticker, name in listed.items() if ticker.endswith(ANY)}
        self._lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)
        self._found = lru_cache(maxsize=65_536)(self._find)

    def of(self, ticker: str) -> str:
        """The name of the class; blank if the ticker is in none."""
        return self._found(ticker)

    def _find(self, ticker: str) -> str:
        if ticker in self._names:
            return self._names[ticker]
        prefixes = [ticker[:length] for length in self._lengths if length <= len(ticker)]
        return next((self._prefixes[prefix] for prefix in prefixes if prefix in self._prefixes), "")


class Problem(NamedTuple):
    """What is wrong with the class at position ``row``; ``other``: the class that it contradicts, if it does."""

    row: int
    text: str
    other: int | None = None


def problems_of(classes: Sequence[AssetClass]) -> Iterator[Problem]:
    """Each problem of these classes, in their order."""
    names: dict[str, int] = {}
    tickers: dict[str, int] = {}
    for index, it in enumerate(classes):
        if not it.name or it.name != it.name.strip():
            yield Problem(index, f"its name is {it.name!r}: write a name without white space around it")
        if (first := names.setdefault(it.name, index)) != index:
            yield Problem(index, f"the asset class {it.name} is listed twice: write its tickers in one list", first)
        if not it.tickers:
            yield Problem(index, f"the asset class {it.name} has no tickers: list them, or remove it")
        for ticker in it.tickers:
            if not ticker or ticker != ticker.strip() or ANY in ticker[:-1]:
                wanted = f"write a ticker, or a prefix of tickers with {ANY} at its end"
                yield Problem(index, f"the asset class {it.name} has the ticker {ticker!r}: {wanted}")
            elif ticker in tickers:
                yield Problem(index, f"the ticker {ticker} is listed twice: list it once", tickers[ticker])
            tickers.setdefault(ticker, index)
        if len(tickers) > MAX_TICKERS:
            yield Problem(index, f"the asset classes have more than {MAX_TICKERS} tickers: write prefixes of them")
            return
