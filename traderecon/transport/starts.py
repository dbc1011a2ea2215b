"""Where a partition begins after an assignment: by what its group has committed, what a table knows, and what there is.

    Known(committed 512, applied 299, low 0, high 600)  ->  Start(300, behind=True)     or a sentence: it cannot begin

Pure. A commit says what was done, a table what is left of it: the lower of the two is where nothing is lost.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from faust.types import TP

StartOffsets = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]
"""Partitions just assigned -> the offset to begin at, for those that somebody else than the group keeps."""


class Known(NamedTuple):
    """What is known of a partition: the log has ``low`` up to, not with, ``high``.

    ``committed``: the group's next offset, None where there is none. ``given``: the offset of whoever else keeps it.
    ``applied``: the last offset whose effects are in a table, -1 for none; None where there is no table.
    """

    low: int
    high: int
    committed: int | None = None
    given: int | None = None
    applied: int | None = None

    @property
    def done(self) -> int:
        """The next offset, by those who keep it; the first of the log where nobody does."""
        kept = self.committed if self.given is None else self.given
        return self.low if kept is None else kept

    @property
    def needed(self) -> int:
        """The log has to reach to here."""
        return max(self.done, -1 if self.applied is None else self.applied + 1)


class Start(NamedTuple):
    """The offset to begin at. ``behind``: a table knows less than its group has committed."""

    offset: int
    behind: bool = False


def start(tp: TP, known: Known) -> Start | str:
    """Where to begin; a sentence where the log does not have what is next."""
    low, high = known.low, known.high
    if known.needed > high:
        return beyond(tp, known.needed, low, high)
    if known.applied is None or known.given is not None:
        return Start(known.done) if known.done >= low else beyond(tp, known.done, low, high)
    offset = min(known.done, known.applied + 1)
    # Without a commit, an empty table and a log that has lost its beginning are a table that has lost everything.
    promised = known.committed if known.committed is not None else (0 if offset else low)
    behind = offset < promised
    if offset >= low:
        return Start(offset, behind)
    return _lost(tp, offset, known.committed, low, high) if behind else beyond(tp, offset, low, high)


def beyond(tp: TP, offset: int, low: int, high: int) -> str:
    """An offset that the log does not have: how many records are gone, or that the topic is another one."""
    where = f"{tp.topic}[{tp.partition}]: offset {offset} is next, the log has {low} to {high}"
    if offset < low:
        return (
            f"{where}. {low - offset} records were lost to retention. To go on without them is a decision: `traderecon "
            f"topics skip --topic {tp.topic} --partition {tp.partition} --to {low} --reason ...` writes it down."
        )
    return f"{where}. The topic was truncated or made anew."


def _lost(tp: TP, offset: int, committed: int | None, low: int, high: int) -> str:
    known = f"the group has committed {committed}" if committed is not None else "the group has no commit"
    return (
        f"{tp.topic}[{tp.partition}]: a table knows {offset} offsets, {known}, and the log has {low} to {high}: the "
        "changelog has lost records that cannot be read again. Stop all workers and run `traderecon state rebuild`: it "
        "takes what was published from the outputs, and the rest from the log."
    )
