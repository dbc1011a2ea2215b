"""Charts: counts -> integer lengths, which the page draws as SVG. Integer arithmetic only."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import msgspec

FULL = 1_000
"""The length of the longest bar; a count above zero is never shorter than ``MIN_LENGTH``."""

MIN_LENGTH = 6

MAX_SLOTS = 48
MIN_SLOTS = 12
"""So that the bars of a short run are not too wide."""

DAY = 24 * 60
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, DAY)

_STRAY_SHARE = 200
"""One trade in this many, at either end, may be left out if that makes the histogram ten times as fine."""


class Slot(msgspec.Struct, frozen=True, gc=False):
    """One span of event time, from ``minute`` (since 1970, UTC), with its counts and the height of its bar."""

    minute: int
    trades: int
    breaks: int
    height: int


class Histogram(msgspec.Struct, frozen=True):
    """Equal spans of ``step`` minutes; ``outside`` counts the trades before the first and after the last."""

    step: int
    slots: tuple[Slot, ...]
    most: int
    outside: int
    outside_breaks: int

    @property
    def first(self) -> int:
        """The first minute shown."""
        return self.slots[0].minute

    @property
    def end(self) -> int:
        """The minute after the last one shown."""
        return self.slots[-1].minute + self.step


def lengths(counts: Sequence[int]) -> tuple[int, ...]:
    """The length of each bar; the largest count gets ``FULL``.

    >>> lengths([400, 100, 1, 0])
    (1000, 250, 6, 0)
    """
    most = max(counts, default=0)
    return tuple(max(MIN_LENGTH, count * FULL // most) if count else 0 for count in counts)


def histogram(minutes: Counter[int], break_minutes: Counter[int]) -> Histogram | None:
    """Breaks over event time; None without trades. ``minutes``: trades, ``break_minutes``: breaks."""
    if not minutes:
        return None
    first, last = _window(minutes)
    step = _step(first, last)
    begin = first // step
    slots = max(last // step - begin + 1, MIN_SLOTS)
    trades, breaks = [0] * slots, [0] * slots
    for minute in minutes:
        if first <= minute <= last:
            trades[minute // step - begin] += minutes[minute]
            breaks[minute // step - begin] += break_minutes[minute]
    return Histogram(
        step,
        tuple(
            Slot((begin + index) * step, trades[index], breaks[index], height)
            for index, height in enumerate(lengths(breaks))
        ),
        max(breaks),
        minutes.total() - sum(trades),
        break_minutes.total() - sum(breaks),
    )


def _window(minutes: Counter[int]) -> tuple[int, int]:
    """The first and last minute to show: one mistyped year must not squeeze a day into a single bar."""
    order = sorted(minutes)
    spare = minutes.total() // _STRAY_SHARE
    low, high = _inner(order, minutes, spare), _inner(order[::-1], minutes, spare)
    reach = high - low + 60
    near = [minute for minute in order if low - reach <= minute <= high + reach]
    if order[-1] - order[0] > 10 * (near[-1] - near[0] + MIN_SLOTS):
        return near[0], near[-1]
    return order[0], order[-1]


def _inner(order: Sequence[int], minutes: Counter[int], spare: int) -> int:
    """The first minute by which more than ``spare`` trades have been counted."""
    totals = accumulate(minutes[minute] for minute in order)
    return next(minute for minute, trades in zip(order, totals, strict=True) if trades > spare)


def _step(first: int, last: int) -> int:
    """The finest step, in minutes, that needs no more than ``MAX_SLOTS`` slots; whole days beyond a day."""
    for step in _STEPS:
        if last // step - first // step < MAX_SLOTS:
            return step
    days = last // DAY - first // DAY
    return DAY * (days // (MAX_SLOTS - 1) + 1)
