"""The progress of one partition: what to deliver next, what is open, what is done.

    undelivered: a fetch  ->  the records not delivered yet
    deliver, settle: messages in order, acknowledged in any order  ->  the offset below which everything is done

Pure bookkeeping of one assignment. A rebalance or a seek creates a new Progress, so a late acknowledgement of an
earlier delivery has no effect.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from traderecon.transport.fingerprint import Fingerprint, fingerprint
from traderecon.transport.microbatch import Record

MARKS = 256
"""Fingerprints kept per partition: more than there are deliveries between two checks of the log's identity."""


class Fetch(NamedTuple):
    """What a driver read of one partition: all records from offset ``start`` up to, but not including, ``end``."""

    start: int
    records: Sequence[Record]
    end: int


class Delivery(Protocol):
    """A message delivered to an agent, and whether the agent is done with it."""

    acked: bool

    @property
    def offset(self) -> int:
        """Its last offset."""
        ...


class PartitionProgress:
    """One partition during one assignment; ``start`` is the first offset to deliver."""

    __slots__ = ("_open", "committed", "delivered", "done", "marks", "next_offset")

    def __init__(self, start: int) -> None:
        self.next_offset = start
        """Everything below is delivered or holds no record; the next fetch must begin here or below."""
        self.done = start
        """Everything below is acknowledged and may be committed."""
        self.committed = start
        self.delivered = start
        """The end of the last message's span; from here to ``next_offset`` the log holds no record."""
        self._open: deque[tuple[Delivery, int, Record | None]] = deque()
        self.marks: deque[Fingerprint] = deque(maxlen=MARKS)
        """The last record of each recently finished delivery, newest last."""

    @property
    def open(self) -> int:
        """Number of deliveries not acknowledged, or acknowledged behind one that is not."""
        return len(self._open)

    def follows(self, fetch: Fetch) -> bool:
        """Whether a fetch leaves no gap: it begins at the next offset or below, and reaches it or beyond.

        Counting records would not work: offsets may hold none (transaction markers, compaction).
        """
        return fetch.start <= self.next_offset <= fetch.end

    def undelivered(self, fetch: Fetch) -> Sequence[Record]:
        """The records of a fetch not delivered yet."""
        records = fetch.records
        if records and records[0].offset < self.next_offset:
            return [record for record in records if record.offset >= self.next_offset]
        return records

    def deliver(self, message: Delivery, end: int, last: Record | None = None) -> None:
        """Record that a message was delivered which covers everything below ``end``; ``last`` is its last record."""
        self._open.append((message, end, last))
        self.next_offset = self.delivered = end

    def advance_to(self, end: int) -> None:
        """Record that the log has no undelivered record below ``end``."""
        self.next_offset = end

    def settle(self) -> int:
        """Advance ``done`` over acknowledged deliveries, in delivery order, and return it."""
        while self._open and self._open[0][0].acked:
            _, self.done, last = self._open.popleft()
            if last is not None:
                self.marks.append(fingerprint(last))
        if not self._open:
            self.done = self.next_offset
        return self.done
