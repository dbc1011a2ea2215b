"""The log's clock: which of the times that brokers give are believed, and up to when a time may be believed at all.

    begin(what the journal and the wall clock say)  ->  observe(clock, reading), ...  ->  newest_ms, now_ms, limit_ms

Time that passes is measured by the boot-time clock of this machine, which nobody sets. A broker's clock that is ahead
of what has passed by more than a bound is not believed: no grace may end because one clock was set. It is believed
again when it comes back, when a majority of the clocks has agreed with it for long enough, or when a person says so.
A clock may run as slowly as it likes: time that is late makes no false break.

Pure: readings come in, nothing is asked.
"""

from collections.abc import Mapping
from typing import NamedTuple

CONFIRM_MS = 600_000
"""A majority of the clocks has to agree for so long on a step."""
SETTLE_MS = 10_000
"""At the beginning the furthest of the clocks that may be believed counts: one of them may be behind."""
RECENT_MS = 60_000
"""A clock that has not been read for so long has no vote."""
SLEW = 100
"""A clock that is believed is followed by one part in so many of the time that passes: more is no drift."""


class Reading(NamedTuple):
    """A time that a clock gave, and the boot-time clock of this machine before it was asked and when it had answered.

    All in milliseconds; ``at_ms`` since 1970, UTC.
    """

    at_ms: int
    asked_boot_ms: int
    boot_ms: int

    @property
    def least_offset_ms(self) -> int:
        """How far the clock is ahead of the boot-time clock, at the least: an answer may have been long on its way."""
        return self.at_ms - self.boot_ms

    @property
    def most_offset_ms(self) -> int:
        """The same, at the most."""
        return self.at_ms - self.asked_boot_ms


class _Step(NamedTuple):
    """A clock that is not believed: its offset, and since when it has had that one."""

    offset_ms: int
    since_boot_ms: int


class LogClock:
    """What is believed of the log's time. ``bound_ms``: how far a clock may be ahead of what has passed."""

    def __init__(self, bound_ms: int) -> None:
        self._bound_ms = bound_ms
        self._ceiling_ms: int | None = None
        """Before the first belief: no offset above it is believed. None: any is."""
        self._offset_ms: int | None = None
        """How far the log's time is ahead of the boot-time clock, as believed."""
        self._began_boot_ms = self._slewed_boot_ms = 0
        self._seen: dict[str, Reading] = {}
        self._ahead: dict[str, _Step] = {}
        self.newest_ms = 0
        """The newest time that is believed; 0 before the first. It never falls but by ``reset``."""

    def begin(self, known_ms: int | None, boot_ms: int) -> None:
        """Begin with a time that is known to have passed, None where there is none: the first clock is believed then.

        Where the journal is empty nobody waits, and a clock that is always wrong by as much harms no grace.
        """
        self._ceiling_ms = None if known_ms is None else known_ms - boot_ms + self._bound_ms
        self._offset_ms, self._began_boot_ms = None, boot_ms

    def observe(self, clock: str, reading: Reading, *, witness: bool = False) -> None:
        """Take in what a clock says. A ``witness`` has a vote on a step, and gives no time."""
        if self._seen.get(clock) == reading:
            return
        self._seen[clock] = reading
        if witness:
            return
        if self._may_be(reading):
            self._believe(reading)
            self._ahead.pop(clock, None)
        else:
            step = self._ahead.get(clock)
            same = step is not None and abs(reading.least_offset_ms - step.offset_ms) <= self._bound_ms
            since_ms = step.since_boot_ms if step is not None and same else reading.boot_ms
            self._ahead[clock] = _Step(reading.least_offset_ms, since_ms)
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
        """The log's time, as believed. Only when ``settled``."""
        return boot_ms + self.offset_ms

    def limit_ms(self, boot_ms: int) -> int:
        """No time above this is believed now. Only when ``settled``."""
        return self.now_ms(boot_ms) + self._bound_ms

    def ahead(self, boot_ms: int) -> Mapping[str, int]:
        """The clocks that are not believed, and by how many ms they are ahead; of those that were read lately."""
        base_ms = self._offset_ms if self._offset_ms is not None else (self._ceiling_ms or 0) - self._bound_ms
        recent = self._recent(boot_ms)
        return {clock: step.offset_ms - base_ms for clock, step in sorted(self._ahead.items()) if clock in recent}

    def behind_ms(self, boot_ms: int) -> int:
        """By how much the newest time is ahead of every clock that was read lately; 0 where it is not."""
        offsets = [one.most_offset_ms for one in self._recent(boot_ms).values()]
        lag_ms = self.newest_ms - boot_ms - max(offsets, default=0)
        return lag_ms if self.newest_ms and offsets and lag_ms > self._bound_ms else 0

    def reset(self, at_ms: int, boot_ms: int) -> None:
        """A person says what time it is."""
        self._offset_ms, self._slewed_boot_ms = at_ms - boot_ms, boot_ms
        # It was said a moment ago: for a while the clocks may be ahead by that.
        self._began_boot_ms, self._ceiling_ms = boot_ms, at_ms - boot_ms + RECENT_MS
        self.newest_ms = at_ms
        self._ahead.clear()

    def _may_be(self, reading: Reading) -> bool:
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
        """Believe a step that a majority of the clocks has made, and kept to for long enough."""
        recent = self._recent(boot_ms)
        for step in [*self._ahead.values()]:
            agree = {
                clock
                for clock, one in recent.items()
                if one.least_offset_ms <= step.offset_ms + self._bound_ms
                and one.most_offset_ms >= step.offset_ms - self._bound_ms
            }
            kept = all(boot_ms - self._ahead[clock].since_boot_ms >= CONFIRM_MS for clock in agree & self._ahead.keys())
            if kept and len(agree) > 1 and 2 * len(agree) > len(recent):
                self._offset_ms, self._slewed_boot_ms = step.offset_ms, boot_ms
                for clock in agree & self._ahead.keys():
                    self.newest_ms = max(self.newest_ms, recent[clock].at_ms)
                    del self._ahead[clock]
                return

    def _recent(self, boot_ms: int) -> dict[str, Reading]:
        return {clock: one for clock, one in self._seen.items() if boot_ms - one.boot_ms <= RECENT_MS}
