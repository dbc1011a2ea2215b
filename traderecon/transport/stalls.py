"""Watches for what no longer moves while the log answers (a partition, a rebalance, a recovery), and for a silent log.

    note_answer, note_pause, note_recovery -> why the process must end      find(watched, ends) -> Stall per partition

Pure: the time is an argument, in seconds of a monotonic clock. Source: docs/transport.md, F14.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from faust.types import TP

from traderecon.transport.progress import PartitionProgress

OUTAGE_S = 600.0
"""After this long without an answer from the log, the fault may lie in this process: it ends."""
REREAD_SHARE = 1 / 4
"""Of the time after which a partition is stuck: by then a fetch may have been dropped, and it is read again."""


class Stall(NamedTuple):
    """A partition that makes no progress; ``reason``: why the process must end, None if it may only be read again."""

    tp: TP
    progress: PartitionProgress
    reason: str | None


class Stalls:
    """The watch of one consumer. ``stall_s``: how long a partition may stand still; ``rebalance_s``: a rebalance."""

    def __init__(self, now_s: float, stall_s: float, rebalance_s: float) -> None:
        self._stall_s, self._rebalance_s = stall_s, rebalance_s
        self._answered_s = self._busy_s = now_s
        self._restored = -1
        self._states: dict[TP, tuple[PartitionProgress, int, int]] = {}
        self._unchanged_since_s: dict[TP, float] = {}

    def note_silence(self, now_s: float) -> str | None:
        """The log has not answered."""
        self.note_pause(now_s)
        silent_s = now_s - self._answered_s
        return f"the log has not answered for {silent_s:.0f} s" if silent_s > OUTAGE_S else None

    def note_answer(self, now_s: float) -> None:
        """The log has answered."""
        self._answered_s = now_s

    def note_pause(self, now_s: float) -> None:
        """Nothing is expected to move: start anew."""
        self._busy_s = now_s
        self._states, self._unchanged_since_s = {}, {}

    def note_recovery(self, now_s: float, restored: int, *, rebalancing: bool) -> str | None:
        """Whether a rebalance goes on, and how many records of tables are restored."""
        if not rebalancing or restored != self._restored:
            self._busy_s, self._restored = now_s, restored
            return None
        idle_s = now_s - self._busy_s
        if idle_s <= self._rebalance_s:
            return None
        return f"no rebalance ended and no table recovered for {idle_s:.0f} s, while the log answers"

    def find(self, now_s: float, watched: Mapping[TP, PartitionProgress], ends: Mapping[TP, int]) -> Iterator[Stall]:
        """The partitions that lag and have not moved for long; those whose leader does not answer have no end."""
        for tp, progress in watched.items():
            if tp not in ends:
                self._states.pop(tp, None)
                continue
            state = (progress, progress.settle(), progress.committed)
            if self._states.get(tp) != state or progress.committed == progress.done == ends[tp]:
                self._states[tp], self._unchanged_since_s[tp] = state, now_s
                continue
            unchanged_s = now_s - self._unchanged_since_s[tp]
            if unchanged_s > self._stall_s:
                yield Stall(
                    tp,
                    progress,
                    f"{tp.topic}[{tp.partition}] is stuck at offset {progress.done} of {ends[tp]} for "
                    f"{unchanged_s:.0f} s: {progress.committed} committed, {progress.open} open; the log answers",
                )
            elif not progress.open and progress.done != ends[tp] and unchanged_s > self._stall_s * REREAD_SHARE:
                yield Stall(tp, progress, None)
