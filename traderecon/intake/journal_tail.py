"""The journal's tail: the epoch of the last records of a partition, and the newest time in it.

    records, in their order  ->  Tail  ->  epoch, newest_ns

A watermark reset begins an epoch and may set time back, so times from earlier epochs do not count.
"""

from collections.abc import Iterable

import msgspec

from traderecon.records.formats import OtherFormat
from traderecon.records.journal import Progress, decode_fact, decode_progress


class Tail:
    """The last records of one partition. Records it cannot decode are skipped; matching rejects them."""

    def __init__(self) -> None:
        self.epoch = 0
        self.newest_ns = 0
        """The newest time of the epoch, in nanoseconds since 1970; 0 if there is none."""
        self._has_progress = False
        """Whether there is a record with an epoch: a fact has none."""

    @property
    def complete(self) -> bool:
        """Whether the epoch and a time in it are known."""
        return self._has_progress and self.newest_ns > 0

    def add(self, key: bytes | None, value: bytes) -> None:
        """Add the next record."""
        try:
            if key is None:
                self._add_progress(decode_progress(value))
            else:
                self.newest_ns = max(self.newest_ns, decode_fact(value).origin.received_at_ns)
        except (msgspec.MsgspecError, OtherFormat):
            return

    def _add_progress(self, progress: Progress) -> None:
        self._has_progress = True
        if progress.epoch > self.epoch:
            self.epoch, self.newest_ns = progress.epoch, 0
        if progress.epoch == self.epoch:
            self.newest_ns = max(self.newest_ns, progress.at_ns)


def latest(tails: Iterable[Tail]) -> tuple[int, int]:
    """The latest epoch of all partitions, and the newest time in it, in nanoseconds since 1970."""
    return max(((tail.epoch, tail.newest_ns) for tail in tails), default=(0, 0))
