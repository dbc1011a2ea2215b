"""How far one partition has come: what may be delivered next, what is open, what is done.

    take: a fetch  ->  the records that come next
    deliver, settle: messages in order, acknowledged in any order  ->  the offset up to which all is done

Pure bookkeeping of one assignment: a rebalance or a seek begins with a new Progress, so an acknowledgement of an
earlier delivery ends in an object nobody reads any more.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from traderecon.transport.fingerprint import Fingerprint, fingerprint
from traderecon.transport.microbatch import Record

MARKS = 256
"""More deliveries of a partition than are done between two looks at whether the log is the same."""


class Fetch(NamedTuple):
    """What a driver read of one partition: everything the log has from ``begun`` up to, not with, ``ended``."""

    begun: int
    records: Sequence[Record]
    ended: int


class Delivered(Protocol):
    """What was handed to an agent, and whether the agent is done with it."""

    acked: bool

    @property
    def offset(self) -> int:
        """The last offset in it."""
        ...


class Progress:
    """One partition under one assignment, from ``start``, the offset of the first record to deliver."""

    __slots__ = ("_open", "committed", "delivered", "done", "marks", "next_offset")

    def __init__(self, start: int) -> None:
        self.next_offset = start
        """Everything below has been delivered, or holds no record: where the next fetch has to begin, or below."""
        self.done = start
        """Everything below has been acknowledged: what may be committed."""
        self.committed = start
        self.delivered = start
        """The end of what the last message brought along; from here to ``next_offset`` the log holds no record."""
        self._open: deque[tuple[Delivered, int, Record | None]] = deque()
        self.marks: deque[Fingerprint] = deque(maxlen=MARKS)
        """The last record of each delivery that was done lately, the newest last."""

    @property
    def open(self) -> int:
        """Deliveries not yet acknowledged, or acknowledged behind one that is not."""
        return len(self._open)

    def follows(self, fetch: Fetch) -> bool:
        """Whether a fetch leaves nothing out: it began at the next offset or below, and goes on beyond it.

        Records are not counted: offsets may hold none (transaction markers, compaction), but a fetch reads in order.
        """
        return fetch.begun <= self.next_offset <= fetch.ended

    def fresh(self, fetch: Fetch) -> Sequence[Record]:
        """The records of a fetch that have not been delivered."""
        records = fetch.records
        if records and records[0].offset < self.next_offset:
            return [record for record in records if record.offset >= self.next_offset]
        return records

    def deliver(self, message: Delivered, ended: int, last: Record | None = None) -> None:
        """A message is on its way to an agent, and with it everything below ``ended``; ``last`` is its last record."""
        self._open.append((message, ended, last))
        self.next_offset = self.delivered = ended

    def pass_over(self, ended: int) -> None:
        """Nothing is there below ``ended`` that has not been delivered."""
        self.next_offset = ended

    def settle(self) -> int:
        """Take in what has been acknowledged, in the order of delivery; gives ``done``."""
        while self._open and self._open[0][0].acked:
            _, self.done, last = self._open.popleft()
            if last is not None:
                self.marks.append(fingerprint(last))
        if not self._open:
            self.done = self.next_offset
        return self.done
