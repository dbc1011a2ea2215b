"""Near misses: an unknown field that was probably meant to be a known one.

    versoin, Version, orderId, open price  ->  version, version, order_id, open_price
    venue, size, brokers, price2           ->  unknown fields, accepted

An unknown field is fine; a misspelt one would silently be left out of the verdict. Not counted as a typo: a digit or an
``s`` at the end, or another letter in a short name (``size`` is not ``side``).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

_SEPARATORS: Final = re.compile(r"[\W_]+")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MIN_TYPO_LENGTH: Final = 5
"""From this length on, an added, missing or changed letter counts as a typo."""
_MAX_LENGTH: Final = 32
"""No known field has a longer name."""


def fold(name: str) -> str:
    """The letters and digits of a name, in lower case.

    >>> fold("Order-Id"), fold("open price")
    ('orderid', 'openprice')
    """
    return _SEPARATORS.sub("", name).casefold()


def _typos(word: str) -> Iterator[str]:
    """The word with one typo in it: two letters swapped, one missing, changed or added."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    yield from (f"{head}{tail[1]}{tail[0]}{tail[2:]}" for head, tail in cuts if len(tail) > 1)
    if len(word) >= _MIN_TYPO_LENGTH:
        yield from (head + tail[1:] for head, tail in cuts if tail)
        yield from (f"{head}{letter}{tail[1:]}" for head, tail in cuts if tail for letter in _LETTERS)
        yield from (f"{head}{letter}{tail}" for head, tail in cuts for letter in _LETTERS)


@lru_cache(maxsize=64)
def _misspellings(names: frozenset[str]) -> dict[str, str]:
    """Every spelling that counts as one of these names, folded."""
    known = {fold(name): name for name in names}
    typos = {typo: name for word, name in sorted(known.items()) for typo in _typos(word) if typo != f"{word}s"}
    return {**typos, **known}


def near_miss(known: frozenset[str], unknown: Iterable[str], sent: Mapping[str, object] | Iterable[str]) -> str:
    """The question about the first unknown field that resembles a known one; empty if none does.

    ``sent`` are the known fields that were sent: an unknown one cannot be meant for them.

    >>> near_miss(frozenset({"trade_id", "version"}), ["venue", "versoin"], {"trade_id": "T1"})
    "'versoin' is not a known field: did you mean version?"
    """
    misspellings, present = _misspellings(known), set(sent)
    for name in unknown:
        meant = misspellings.get(fold(name)) if len(name) <= _MAX_LENGTH else None
        if meant is not None and meant not in present:
            return f"{name!a} is not a known field: did you mean {meant}?"
    return ""
