"""How far one partition has come: what may be delivered next, what is open, what is done.

    admit: records of a fetch  ->  those that come next without a hole
    deliver, settle: messages in order, acknowledged in any order  ->  the offset up to which all is done

Pure bookkeeping of one assignment: a rebalance or a seek begins with a new Progress, so an acknowledgement of an
earlier delivery ends in an object nobody reads any more (FAUST 3.5, rules 2 to 5).
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from traderecon.transport.microbatch import Record


class Delivered(Protocol):
    """What was handed to an agent, and whether the agent is done with it."""

    acked: bool

    @property
    def offset(self) -> int:
        """The last offset in it."""
        ...


class Admitted(NamedTuple):
    """The records to deliver now; ``hole``: what was fetched goes on, but not with the next offset."""

    records: Sequence[Record]
    hole: bool


class Progress:
    """One partition under one assignment, from ``start``, the offset of the first record to deliver."""

    __slots__ = ("_open", "_reread", "committed", "done", "next_offset", "skipped")

    def __init__(self, start: int) -> None:
        self.next_offset = start
        self.done = start
        """Every record below has been acknowledged: what may be committed."""
        self.committed = start
        self.skipped = 0
        """Offsets that hold no record in the log itself: transaction markers, compaction."""
        self._open: deque[Delivered] = deque()
        self._reread = -1

    @property
    def open(self) -> int:
        """Deliveries not yet acknowledged, or acknowledged behind one that is not."""
        return len(self._open)

    def admit(self, records: Sequence[Record]) -> Admitted:
        """What of a fetch comes next: redelivered records cut off, and everything from the first hole on.

        A hole is believed only when the log shows it again to a fetch that started right at it: see ``reread``.
        """
        if records[0].offset < self.next_offset:
            records = [record for record in records if record.offset >= self.next_offset]
            if not records:
                return Admitted((), hole=False)
        first = records[0].offset
        if first > self.next_offset:
            if not self.asked_again:
                return Admitted((), hole=True)
            self.skipped += first - self.next_offset
            self.next_offset = first
        run = _run(records)
        return Admitted(records if run == len(records) else records[:run], hole=run < len(records))

    @property
    def asked_again(self) -> bool:
        """Whether the log has been asked once more for the offset that is next."""
        return self._reread == self.next_offset

    def reread(self) -> int:
        """The log is asked again from here; what it shows next, it shows because it is so."""
        self._reread = self.next_offset
        return self.next_offset

    def deliver(self, message: Delivered) -> None:
        """A message is on its way to an agent: the next one starts after it."""
        self._open.append(message)
        self.next_offset = message.offset + 1

    def settle(self) -> int:
        """Take in what has been acknowledged, in the order of delivery; gives ``done``."""
        while self._open and self._open[0].acked:
            self.done = self._open.popleft().offset + 1
        return self.done


def _run(records: Sequence[Record]) -> int:
    """How many records from the first have consecutive offsets."""
    first = records[0].offset
    if records[-1].offset - first == len(records) - 1:
        return len(records)  # offsets rise in a log: no hole fits in between
    return next(index for index, record in enumerate(records) if record.offset != first + index)
