"""The start offset of a partition after an assignment, from the group's commit, the table and the bounds of the log.

    StartState(committed 512, applied 299, low 0, high 600)  ->  Start(300, behind=True), or an error text

Pure. The commit says what was processed, the table which effects survived: starting at the lower one loses nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from faust.types import TP

StartOffsets = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]
"""Partitions just assigned -> the start offset of those whose offsets are stored outside the group."""


class StartState(NamedTuple):
    """The offsets that decide where a partition starts. The log has ``low`` up to, but not including, ``high``.

    ``committed``: the group's next offset, None without a commit. ``external``: the next offset as stored outside the
    group. ``applied``: the last offset whose effects are in a table, -1 for none; None without a table.
    """

    low: int
    high: int
    committed: int | None = None
    external: int | None = None
    applied: int | None = None

    @property
    def next_offset(self) -> int:
        """The stored next offset; without one, the first offset of the log."""
        stored = self.committed if self.external is None else self.external
        return self.low if stored is None else stored

    @property
    def required_end(self) -> int:
        """The log must reach at least to this offset."""
        return max(self.next_offset, -1 if self.applied is None else self.applied + 1)


class Start(NamedTuple):
    """The start offset. ``behind``: a table lacks effects of records the group has committed."""

    offset: int
    behind: bool = False


def start(tp: TP, state: StartState) -> Start | str:
    """Where to start, or an error text if the log no longer has that offset."""
    low, high = state.low, state.high
    if state.required_end > high:
        return out_of_range(tp, state.required_end, low, high)
    if state.applied is None or state.external is not None:
        offset = state.next_offset
        return Start(offset) if offset >= low else out_of_range(tp, offset, low, high)
    offset = min(state.next_offset, state.applied + 1)
    # Without a commit, an empty table on a log whose beginning is gone is a table that has lost everything.
    expected = state.committed if state.committed is not None else (0 if offset else low)
    behind = offset < expected
    if offset >= low:
        return Start(offset, behind)
    return _lost(tp, offset, state.committed, low, high) if behind else out_of_range(tp, offset, low, high)


def out_of_range(tp: TP, offset: int, low: int, high: int) -> str:
    """Error text for an offset the log does not have: lost to retention, or the topic was truncated."""
    finding = f"{tp.topic}[{tp.partition}]: offset {offset} is next, the log has {low} to {high}"
    if offset < low:
        return (
            f"{finding}. {low - offset} records were lost to retention. To continue without them, run `traderecon "
            f"topics skip --topic {tp.topic} --partition {tp.partition} --to {low} --reason ...`, which records the "
            "decision."
        )
    return f"{finding}. The topic was truncated or recreated."


def _lost(tp: TP, offset: int, committed: int | None, low: int, high: int) -> str:
    commit = f"the group has committed {committed}" if committed is not None else "the group has no commit"
    return (
        f"{tp.topic}[{tp.partition}]: a table ends at offset {offset}, {commit}, and the log has {low} to {high}: the "
        "changelog has lost records that cannot be read again. Stop all workers and run `traderecon state rebuild`: it "
        "restores published results from the outputs, and the rest from the log."
    )
