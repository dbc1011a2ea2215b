"""Charts: counts -> lengths in whole units, which the page draws as SVG. Integer arithmetic only."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import msgspec

FULL = 1_000
"""The longest bar; a count above zero is never shorter than ``LEAST``."""

LEAST = 6

SLOTS = 48
"""A histogram has at most this many slots."""

FEWEST = 12
"""And at least this many, so that a run of two minutes is not two walls."""

DAY = 24 * 60
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, DAY)

_STRAY_SHARE = 200
"""One trade in so many, at either end, may be left out of the picture when that makes it ten times as fine."""


class Slot(msgspec.Struct, frozen=True, gc=False):
    """One span of event time, from ``minute`` (since 1970, UTC): what happened in it, and how high its bar is."""

    minute: int
    trades: int
    breaks: int
    height: int


class Histogram(msgspec.Struct, frozen=True):
    """Equal spans of ``step`` minutes; trades (and breaks among them) before the first and behind the last."""

    step: int
    slots: tuple[Slot, ...]
    most: int
    outside: int
    outside_breaks: int

    @property
    def first(self) -> int:
        """The minute the picture begins with."""
        return self.slots[0].minute

    @property
    def end(self) -> int:
        """The minute behind the picture."""
        return self.slots[-1].minute + self.step


def lengths(counts: Sequence[int]) -> tuple[int, ...]:
    """The length of each bar, the largest count's being ``FULL``.

    >>> lengths([400, 100, 1, 0])
    (1000, 250, 6, 0)
    """
    most = max(counts, default=0)
    return tuple(max(LEAST, count * FULL // most) if count else 0 for count in counts)


def histogram(minutes: Counter[int], broken: Counter[int]) -> Histogram | None:
    """Breaks over event time; None without trades. ``broken`` counts a part of what ``minutes`` counts."""
    if not minutes:
        return None
    first, last = _window(minutes)
    step = _step(first, last)
    begin = first // step
    slots = max(last // step - begin + 1, FEWEST)
    trades, breaks = [0] * slots, [0] * slots
    for minute in minutes:
        if first <= minute <= last:
            trades[minute // step - begin] += minutes[minute]
            breaks[minute // step - begin] += broken[minute]
    return Histogram(
        step,
        tuple(
            Slot((begin + place) * step, trades[place], breaks[place], height)
            for place, height in enumerate(lengths(breaks))
        ),
        max(breaks),
        minutes.total() - sum(trades),
        broken.total() - sum(breaks),
    )


def _window(minutes: Counter[int]) -> tuple[int, int]:
    """The first and last minute to show: one mistyped year must not squeeze a day into a line."""
    order = sorted(minutes)
    spare = minutes.total() // _STRAY_SHARE
    low, high = _inner(order, minutes, spare), _inner(order[::-1], minutes, spare)
    reach = high - low + 60
    near = [minute for minute in order if low - reach <= minute <= high + reach]
    if order[-1] - order[0] > 10 * (near[-1] - near[0] + FEWEST):
        return near[0], near[-1]
    return order[0], order[-1]


def _inner(order: Sequence[int], minutes: Counter[int], spare: int) -> int:
    """The first minute with more than ``spare`` trades up to and in it."""
    seen = accumulate(minutes[minute] for minute in order)
    return next(minute for minute, trades in zip(order, seen, strict=True) if trades > spare)


def _step(first: int, last: int) -> int:
    """The finest step, in minutes, that needs no more than ``SLOTS`` slots; whole days beyond a day."""
    for step in _STEPS:
        if last // step - first // step < SLOTS:
            return step
    days = last // DAY - first // DAY
    return DAY * (days // (SLOTS - 1) + 1)
