"""Figures: counts, shares and amounts as text."""

from collections import Counter
from decimal import Decimal
from typing import TypeVar

from traderecon.records.numbers import canonical, plain

Name = TypeVar("Name", bound=str)


def count(number: int, noun: str = "") -> str:
    """The number with separators, and its noun in singular or plural.

    >>> count(20_000), count(1, "trade"), count(0, "break")
    ('20,000', '1 trade', '0 breaks')
    """
    text = f"{number:,}"
    return f"{text} {noun}{'' if number == 1 else 's'}" if noun else text


def share(part: int, whole: int) -> str:
    """Percent with two decimals; 0 % and 100 % only if the share is exactly that.

    >>> share(19_214, 20_000), share(0, 0), share(1, 20_001), share(20_000, 20_001)
    ('96.07 %', 'n/a', '< 0.01 %', '> 99.99 %')
    """
    if not whole:
        return "n/a"
    hundredths = (part * 20_000 + whole) // (2 * whole)
    if part and not hundredths:
        return "< 0.01 %"
    if part != whole and hundredths == 10_000:
        return "> 99.99 %"
    percent, rest = divmod(hundredths, 100)
    return f"{percent}.{rest:02d} %"


def amount(value: Decimal) -> str:
    """An exact amount with separators, for amounts that nobody searches for in a file.

    >>> amount(Decimal("1234567.8900"))
    '1,234,567.89'
    """
    return format(canonical(value), ",f")


def exact(value: Decimal) -> str:
    """An exact amount in its shortest form, without separators.

    >>> exact(Decimal("19049.50"))
    '19049.5'
    """
    return plain(canonical(value))


def ranked(counts: Counter[Name]) -> list[tuple[Name, int]]:
    """Most frequent first, then by name; zero counts are left out.

    >>> ranked(Counter({"B": 2, "A": 2, "C": 0, "D": 7}))
    [('D', 7), ('A', 2), ('B', 2)]
    """
    return sorted(((name, number) for name, number in counts.items() if number), key=lambda pair: (-pair[1], pair[0]))
