"""The progress of a partition: no record is skipped, and none counts as done before it is acknowledged."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from traderecon.transport import LOG_APPEND_TIME
from traderecon.transport.progress import Fetch, PartitionProgress


class Row(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_type: int = LOG_APPEND_TIME


class Message:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.acked = False


def fetch(begun: int, *offsets: int, end: int | None = None) -> Fetch:
    if end is None:
        end = offsets[-1] + 1
    return Fetch(begun, [Row(offset) for offset in offsets], end)


def offsets(progress: PartitionProgress, read: Fetch) -> list[int] | None:
    """The offsets to deliver next; None if the fetch leaves a gap."""
    return [record.offset for record in progress.undelivered(read)] if progress.follows(read) else None


def test_a_fetch_that_follows_is_delivered_whole() -> None:
    assert offsets(PartitionProgress(5), fetch(5, 5, 6, 7)) == [5, 6, 7]


def test_delivered_records_are_not_delivered_again() -> None:
    assert offsets(PartitionProgress(5), fetch(3, 3, 4, 5, 6)) == [5, 6]
    assert offsets(PartitionProgress(5), fetch(3, 3, 4)) == []


def test_a_fetch_that_starts_too_late_is_ignored() -> None:
    assert offsets(PartitionProgress(5), fetch(6, 6, 7)) is None


def test_a_fetch_that_ends_too_early_is_not_taken() -> None:
    assert offsets(PartitionProgress(5), fetch(2, 2, 3)) is None


def test_offsets_without_records_are_passed_over() -> None:
    progress = PartitionProgress(5)
    assert offsets(progress, fetch(5, 5, 8, end=10)) == [5, 8]
    progress.deliver(Message(8), 10)
    assert progress.next_offset == 10
    assert offsets(progress, fetch(10, end=12)) == []
    progress.advance_to(12)
    assert progress.settle() == 5  # open deliveries are not done


def test_done_follows_the_order_of_delivery() -> None:
    progress = PartitionProgress(0)
    first, second, third = Message(4), Message(9), Message(11)
    for message in (first, second, third):
        progress.deliver(message, message.offset + 1)
    third.acked = second.acked = True
    assert progress.settle() == 0
    assert progress.open == 3
    first.acked = True
    assert progress.settle() == 12
    assert progress.open == 0


def test_passed_over_offsets_are_done_when_nothing_is_open() -> None:
    progress = PartitionProgress(0)
    message = Message(0)
    progress.deliver(message, 1)
    progress.advance_to(3)
    assert progress.settle() == 0
    message.acked = True
    assert progress.settle() == 3


@given(
    start=st.integers(0, 30), begun=st.integers(0, 40), length=st.integers(0, 40), removed=st.sets(st.integers(0, 80))
)
def test_delivered_records_are_all_from_the_next_offset(start: int, begun: int, length: int, removed: set[int]) -> None:
    end = begun + length
    read = fetch(begun, *(offset for offset in range(begun, end) if offset not in removed), end=end)
    taken = offsets(PartitionProgress(start), read)
    if taken is None:
        assert begun > start or end < start
    else:
        assert taken == [offset for offset in range(start, end) if offset not in removed]


class OneAssignment(RuleBasedStateMachine):
    """A driver whose fetches arrive late, twice or not at all, and an agent that finishes in any order."""

    @initialize(start=st.integers(0, 5), removed=st.sets(st.integers(0, 80)))
    def begin(self, start: int, removed: set[int]) -> None:
        self.log = [offset for offset in range(90) if offset not in removed]
        self.start = self.position = start
        self.progress = PartitionProgress(start)
        self.delivered: list[int] = []
        self.messages: list[tuple[Message, list[int]]] = []

    @rule(length=st.integers(1, 9), back=st.integers(0, 6), dropped=st.booleans())
    def fetched(self, length: int, back: int, dropped: bool) -> None:
        begun = max(0, self.position - back)
        end = self.position = begun + length
        if dropped:
            return
        read = fetch(begun, *(offset for offset in self.log if begun <= offset < end), end=end)
        if not self.progress.follows(read):
            self.position = self.progress.next_offset
            return
        records = self.progress.undelivered(read)
        if records:
            message = Message(records[-1].offset)
            self.progress.deliver(message, end)
            self.messages.append((message, [record.offset for record in records]))
            self.delivered += self.messages[-1][1]
        else:
            self.progress.advance_to(end)

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 99))
    def finish(self, which: int) -> None:
        self.messages[which % len(self.messages)][0].acked = True

    @invariant()
    def everything_is_delivered_once_and_in_order(self) -> None:
        end = self.progress.next_offset
        assert self.delivered == [offset for offset in self.log if self.start <= offset < end]

    @invariant()
    def nothing_unfinished_is_done(self) -> None:
        done = self.progress.settle()
        unfinished = [taken[0] for message, taken in self.messages if not message.acked]
        assert all(done <= first for first in unfinished)
        assert unfinished or done == self.progress.next_offset


TestOneAssignment = OneAssignment.TestCase
