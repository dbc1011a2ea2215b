"""Asset classes: which tickers an override for an asset class is about, as the rules file lists them.

    [AssetClass("equity", ("AAPL", "BRK.*")), ...]  ->  AssetClasses  ->  of("BRK.B")  ->  "equity"

A ticker by itself is listed once; of patterns (``ES*``: every ticker that begins so) the longest fits. The list is part
of the rules and of their hash, so a trade has the same class whatever its feeds send. Source: DOMAIN.md 9; B22.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

ANY = "*"
"""At the end of a ticker: whatever follows."""


class AssetClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class with its tickers, in the spelling of the legs, and patterns of tickers."""

    name: str
    tickers: tuple[str, ...]


class AssetClasses:
    """Finds the class of a ticker."""

    def __init__(self, classes: Sequence[AssetClass]) -> None:
        listed = {ticker: it.name for it in classes for ticker in it.tickers}
        self._names = {ticker: name for ticker, name in listed.items() if not ticker.endswith(ANY)}
        self._patterns = {ticker.removesuffix(ANY): name for ticker, name in listed.items() if ticker.endswith(ANY)}
        self._lengths = sorted({len(start) for start in self._patterns}, reverse=True)
        self.of = lru_cache(maxsize=65_536)(self._find)

    def _find(self, ticker: str) -> str:
        """The name of the class; blank if the ticker is in none."""
        if ticker in self._names:
            return self._names[ticker]
        starts = [ticker[:length] for length in self._lengths if length <= len(ticker)]
        return next((self._patterns[start] for start in starts if start in self._patterns), "")


def problems_of(classes: Sequence[AssetClass]) -> Iterator[tuple[int, str, int | None]]:
    """Each class (by index) that is wrong, what is wrong with it, and the class that it contradicts."""
    names: dict[str, int] = {}
    tickers: dict[str, int] = {}
    for index, it in enumerate(classes):
        if not it.name or it.name != it.name.strip():
            yield index, f"its name is {it.name!r}: write a name without white space around it", None
        if (first := names.setdefault(it.name, index)) != index:
            yield index, f"the asset class {it.name} is there twice: write its tickers in one list", first
        if not it.tickers:
            yield index, f"the asset class {it.name} has no tickers: list them, or remove it", None
        for ticker in it.tickers:
            if not ticker or ticker != ticker.strip() or ANY in ticker[:-1]:
                wanted = f"write a ticker, or the beginning of tickers with {ANY} at its end"
                yield index, f"the asset class {it.name} has the ticker {ticker!r}: {wanted}", None
            elif (first := tickers.setdefault(ticker, index)) != index:
                yield index, f"the ticker {ticker} is in two asset classes: list it in one", first
