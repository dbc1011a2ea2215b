"""Near misses: a field that is none of ours, and was meant to be one.

    versoin, Version, orderId, open price  ->  version, version, order_id, open_price
    venue, size, brokers, price2           ->  none of ours

What we do not know is nobody's mistake and passes; what is one slip of the finger away from a field of ours would be
left out of the verdict without a word. Not taken for a slip: a digit or an ``s`` at the end, and another letter in a
short name (``size`` is no ``side``).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from traderecon.intake.legs import KNOWN
from traderecon.records import Source

_SEPARATORS: Final = re.compile(r"[\W_]+")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_LONG: Final = 5
"""Letters from which on one more, one less or another one is a slip."""
_LONGEST: Final = 32
"""A longer name is none of ours."""


def folded(name: str) -> str:
    """The letters and digits of a name, in lower case.

    >>> folded("Order-Id"), folded("open price")
    ('orderid', 'openprice')
    """
    return _SEPARATORS.sub("", name).casefold()


def _slips(word: str) -> Iterator[str]:
    """What one slip makes of a word."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    yield from (f"{head}{tail[1]}{tail[0]}{tail[2:]}" for head, tail in cuts if len(tail) > 1)
    if len(word) >= _LONG:
        yield from (head + tail[1:] for head, tail in cuts if tail)
        yield from (f"{head}{letter}{tail[1:]}" for head, tail in cuts if tail for letter in _LETTERS)
        yield from (f"{head}{letter}{tail}" for head, tail in cuts for letter in _LETTERS)


def _misspelt(names: Iterable[str]) -> dict[str, str]:
    """Every spelling that is taken for one of these names, folded."""
    ours = {folded(name): name for name in names}
    slips = {slip: name for word, name in sorted(ours.items()) for slip in _slips(word) if slip != f"{word}s"}
    return {**slips, **ours}


_MEANT: Final = {source: _misspelt(names) for source, names in KNOWN.items()}


def near_miss(source: Source, unknown: Iterable[str], sent: Mapping[str, object] | Iterable[str]) -> str:
    """What to ask about the first of these unknown fields that was meant to be one of ours; empty where none was.

    ``sent`` are the fields of ours that are there: no other is meant to be one of them.

    >>> near_miss(Source.PNL, ["venue", "versoin"], {"trade_id": "T1"})
    "'versoin' is no field of ours: did you mean version?"
    """
    meant, there = _MEANT[source], set(sent)
    for name in unknown:
        ours = meant.get(folded(name)) if len(name) <= _LONGEST else None
        if ours is not None and ours not in there:
            return f"{name!a} is no field of ours: did you mean {ours}?"
    return ""
