"""The journal's tail: which epoch the last records of a partition belong to, and what time they tell of.

    records, in their order  ->  Tail  ->  epoch, newest_ns

A reset of the watermark begins an epoch, and may take time back: what was written before says nothing of the time now.
"""

from collections.abc import Iterable

import msgspec

from traderecon.records.formats import OtherFormat
from traderecon.records.journal import Progress, decode_fact, decode_progress


class Tail:
    """The last records of one partition. A record that is not of ours says nothing; matching judges it."""

    def __init__(self) -> None:
        self.epoch = 0
        self.newest_ns = 0
        """The newest time of the epoch, in nanoseconds since 1970; 0 where there is none."""
        self._has_progress = False
        """Whether any record says which epoch it is of: a fact does not."""

    @property
    def says_when(self) -> bool:
        """Whether its records say which epoch they are of, and a time of it."""
        return self._has_progress and self.newest_ns > 0

    def take_in(self, key: bytes | None, value: bytes) -> None:
        """Take in the next record."""
        try:
            if key is None:
                self._take_in(decode_progress(value))
            else:
                self.newest_ns = max(self.newest_ns, decode_fact(value).origin.received_at_ns)
        except (msgspec.MsgspecError, OtherFormat):
            return

    def _take_in(self, progress: Progress) -> None:
        self._has_progress = True
        if progress.epoch > self.epoch:
            self.epoch, self.newest_ns = progress.epoch, 0
        if progress.epoch == self.epoch:
            self.newest_ns = max(self.newest_ns, progress.at_ns)


def latest(tails: Iterable[Tail]) -> tuple[int, int]:
    """The latest epoch of all partitions, and the newest time of it in nanoseconds since 1970."""
    return max(((tail.epoch, tail.newest_ns) for tail in tails), default=(0, 0))
