"""The log's clock: which broker times are believed, and up to which time any may be.

    begin(a time that has passed)  ->  observe(clock, reading), ...  ->  newest_ms, now_ms, limit_ms

Elapsed time is measured by the boot-time clock of this machine, which nobody sets. A broker's clock that is ahead of it
by more than a bound is not believed, so that no grace ends because a clock was set. It is believed again when it comes
back, when a majority of the clocks has agreed with it for long enough, or when a person resets the watermark. A clock
may be slow without limit: a late time causes no false break.

Pure: readings are arguments, no clock is read.
"""

from collections.abc import Mapping
from typing import NamedTuple

CONFIRM_MS = 600_000
"""How long a majority of the clocks has to agree on a step."""
SETTLE_MS = 10_000
"""For this long at the beginning the clock furthest ahead counts, within the bound: the others may be slow."""
RECENT_MS = 60_000
"""A clock that has not been read for this long has no vote."""
SLEW = 100
"""The offset follows a believed clock by at most one part in this many of elapsed time: more is not drift."""


class Reading(NamedTuple):
    """The time a clock gave, and this machine's boot-time clock before the request and after the answer.

    All in milliseconds; ``at_ms`` since 1970, UTC.
    """

    at_ms: int
    asked_boot_ms: int
    boot_ms: int

    @property
    def least_offset_ms(self) -> int:
        """How far the clock is ahead of the boot-time clock, at least: the answer may have been delayed."""
        return self.at_ms - self.boot_ms

    @property
    def most_offset_ms(self) -> int:
        """How far the clock is ahead of the boot-time clock, at most."""
        return self.at_ms - self.asked_boot_ms


class _Step(NamedTuple):
    """The offset of a clock that is not believed, and since when it has had it."""

    offset_ms: int
    since_boot_ms: int


class LogClock:
    """The log's time as believed. ``bound_ms``: how far a clock may be ahead of elapsed time."""

    def __init__(self, bound_ms: int) -> None:
        self._bound_ms = bound_ms
        self._ceiling_ms: int | None = None
        """Until a clock is believed, no offset above this is. None: any is."""
        self._offset_ms: int | None = None
        """How far the log's time is ahead of the boot-time clock, as believed."""
        self._began_boot_ms = self._slewed_boot_ms = 0
        self._readings: dict[str, Reading] = {}
        self._ahead: dict[str, _Step] = {}
        self.newest_ms = 0
        """The newest believed time; 0 before the first. Only ``reset`` lowers it."""

    def begin(self, passed_ms: int | None, boot_ms: int) -> None:
        """Begin with a time that has certainly passed. None if there is none: the first clock is believed.

        That is safe: the journal is empty, no trade waits, and a constant error of the clock shortens no grace.
        """
        self._ceiling_ms = None if passed_ms is None else passed_ms - boot_ms + self._bound_ms
        self._offset_ms, self._began_boot_ms = None, boot_ms

    def observe(self, clock: str, reading: Reading, *, witness: bool = False) -> None:
        """Add a reading of a clock. A ``witness`` only has a vote on a step."""
        if self._readings.get(clock) == reading:
            return
        self._readings[clock] = reading
        if witness:
            return
        if self._is_possible(reading):
            self._believe(reading)
            self._ahead.pop(clock, None)
        else:
            step, offset_ms = self._ahead.get(clock), reading.least_offset_ms
            steady = step is not None and abs(offset_ms - step.offset_ms) <= self._bound_ms
            since_ms = step.since_boot_ms if step is not None and steady else reading.boot_ms
            self._ahead[clock] = _Step(offset_ms, since_ms)
            self._confirm(reading.boot_ms)

    @property
    def settled(self) -> bool:
        """Whether any clock is believed."""
        return self._offset_ms is not None

    @property
    def offset_ms(self) -> int:
        """How far the log's time is ahead of the boot-time clock. Only when ``settled``."""
        if self._offset_ms is None:
            raise ValueError("no clock is believed yet")
        return self._offset_ms

    def now_ms(self, boot_ms: int) -> int:
        """The log's time as believed. Only when ``settled``."""
        return boot_ms + self.offset_ms

    def limit_ms(self, boot_ms: int) -> int:
        """The latest time that may be believed now. Only when ``settled``."""
        return self.now_ms(boot_ms) + self._bound_ms

    def ahead(self, boot_ms: int) -> Mapping[str, int]:
        """The recently read clocks that are not believed, and by how many ms each is ahead."""
        base_ms = self._offset_ms if self._offset_ms is not None else (self._ceiling_ms or 0) - self._bound_ms
        recent = self._recent(boot_ms)
        return {clock: step.offset_ms - base_ms for clock, step in sorted(self._ahead.items()) if clock in recent}

    def behind_ms(self, boot_ms: int) -> int:
        """By how many ms the newest time is ahead of every recently read clock; 0 if within the bound."""
        offsets = [reading.most_offset_ms for reading in self._recent(boot_ms).values()]
        lag_ms = self.newest_ms - boot_ms - max(offsets, default=0)
        return lag_ms if self.newest_ms and offsets and lag_ms > self._bound_ms else 0

    def reset(self, at_ms: int, boot_ms: int) -> None:
        """Set the time, as decided by a person."""
        self._offset_ms, self._slewed_boot_ms = at_ms - boot_ms, boot_ms
        # The decision is some moments old: for a while the clocks may be ahead by that.
        self._began_boot_ms, self._ceiling_ms = boot_ms, at_ms - boot_ms + RECENT_MS
        self.newest_ms = at_ms
        self._ahead.clear()

    def _is_possible(self, reading: Reading) -> bool:
        offset_ms, ceiling_ms = self._offset_ms, self._ceiling_ms
        if offset_ms is None:
            return ceiling_ms is None or reading.least_offset_ms <= ceiling_ms
        highest_ms = offset_ms + self._bound_ms
        if ceiling_ms is not None and reading.boot_ms - self._began_boot_ms < SETTLE_MS:
            highest_ms = max(highest_ms, ceiling_ms)
        return reading.least_offset_ms <= highest_ms

    def _believe(self, reading: Reading) -> None:
        offset_ms = self._offset_ms
        if offset_ms is None:
            offset_ms, self._slewed_boot_ms = reading.least_offset_ms, reading.boot_ms
        elif reading.boot_ms - self._began_boot_ms < SETTLE_MS:
            offset_ms = max(offset_ms, reading.least_offset_ms)
        else:
            allowed_ms = (reading.boot_ms - self._slewed_boot_ms) // SLEW
            if allowed_ms > 0:
                self._slewed_boot_ms = reading.boot_ms
            if reading.least_offset_ms > offset_ms:
                offset_ms += min(allowed_ms, reading.least_offset_ms - offset_ms)
            elif offset_ms - self._bound_ms <= reading.most_offset_ms < offset_ms:
                offset_ms -= min(allowed_ms, offset_ms - reading.most_offset_ms)
        self._offset_ms = offset_ms
        self.newest_ms = max(self.newest_ms, reading.at_ms)

    def _confirm(self, boot_ms: int) -> None:
        """Believe a step that a majority of the clocks has made and held for long enough."""
        recent = self._recent(boot_ms)
        for step in [*self._ahead.values()]:
            agree = {
                clock
                for clock, reading in recent.items()
                if reading.least_offset_ms <= step.offset_ms + self._bound_ms
                and reading.most_offset_ms >= step.offset_ms - self._bound_ms
            }
            held = all(boot_ms - self._ahead[clock].since_boot_ms >= CONFIRM_MS for clock in agree & self._ahead.keys())
            if held and len(agree) > 1 and 2 * len(agree) > len(recent):
                self._offset_ms, self._slewed_boot_ms = step.offset_ms, boot_ms
                for clock in agree & self._ahead.keys():
                    self.newest_ms = max(self.newest_ms, recent[clock].at_ms)
                    del self._ahead[clock]
                return

    def _recent(self, boot_ms: int) -> dict[str, Reading]:
        return {clock: reading for clock, reading in self._readings.items() if boot_ms - reading.boot_ms <= RECENT_MS}
