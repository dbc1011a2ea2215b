"""How far a partition has come: nothing is left out, nothing is done before it is done."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from traderecon.transport.progress import Progress


class Row(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()


class Message:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.acked = False


def rows(*offsets: int) -> list[Row]:
    return [Row(offset) for offset in offsets]


def offsets(progress: Progress, *fetched: int) -> tuple[list[int], bool]:
    admitted = progress.admit(rows(*fetched))
    return [record.offset for record in admitted.records], admitted.hole


def test_a_fetch_that_continues_is_taken_whole() -> None:
    assert offsets(Progress(5), 5, 6, 7) == ([5, 6, 7], False)


def test_what_was_delivered_is_not_delivered_again() -> None:
    progress = Progress(5)
    assert offsets(progress, 3, 4) == ([], False)
    assert offsets(progress, 3, 4, 5, 6) == ([5, 6], False)


def test_a_hole_before_a_fetch_takes_nothing() -> None:
    assert offsets(Progress(5), 6, 7) == ([], True)


def test_a_hole_within_a_fetch_ends_it() -> None:
    assert offsets(Progress(5), 5, 6, 8, 9) == ([5, 6], True)
    assert offsets(Progress(5), 4, 5, 8, 9) == ([5], True)


def test_a_hole_is_believed_when_the_log_shows_it_twice() -> None:
    progress = Progress(5)
    assert offsets(progress, 8, 9) == ([], True)
    assert progress.reread() == 5
    assert offsets(progress, 8, 9) == ([8, 9], False)
    assert progress.skipped == 3


def test_a_hole_believed_is_not_the_next_one() -> None:
    progress = Progress(5)
    progress.reread()
    assert offsets(progress, 6) == ([6], False)
    progress.deliver(Message(6))
    assert offsets(progress, 9) == ([], True)


def test_done_follows_the_order_of_delivery() -> None:
    progress = Progress(0)
    first, second, third = Message(4), Message(9), Message(11)
    for message in (first, second, third):
        progress.deliver(message)
    third.acked = second.acked = True
    assert progress.settle() == 0
    assert progress.open == 3
    first.acked = True
    assert progress.settle() == 12
    assert progress.open == 0


@given(
    start=st.integers(0, 50),
    fetched=st.lists(st.integers(0, 99), min_size=1, max_size=30, unique=True).map(sorted),
)
def test_what_is_admitted_is_a_run_from_the_next_offset(start: int, fetched: list[int]) -> None:
    admitted, hole = offsets(Progress(start), *fetched)
    assert admitted == list(range(start, start + len(admitted)))
    assert set(admitted) <= set(fetched)
    left = [offset for offset in fetched if offset >= start + len(admitted)]
    assert hole == bool(left)
    assert start + len(admitted) not in left


class OneAssignment(RuleBasedStateMachine):
    """A log whose fetches come late, twice or with a piece missing, and an agent that finishes in any order."""

    @initialize(start=st.integers(0, 5), removed=st.sets(st.integers(0, 80)))
    def begin(self, start: int, removed: set[int]) -> None:
        self.log = [offset for offset in range(90) if offset not in removed]
        self.start = start
        self.progress = Progress(start)
        self.at = start
        self.delivered: list[int] = []
        self.messages: list[tuple[Message, list[int]]] = []

    @rule(count=st.integers(1, 9), back=st.integers(0, 6), lost=st.sets(st.integers(0, 8), max_size=2))
    def fetch(self, count: int, back: int, lost: set[int]) -> None:
        self.take([offset for offset in self.log if offset >= self.at - back][:count], lost)

    def take(self, fetched: list[int], lost: set[int]) -> None:
        fetched = [offset for index, offset in enumerate(fetched) if index not in lost]
        if not fetched:
            return
        admitted = self.progress.admit(rows(*fetched))
        if admitted.records:
            taken = [record.offset for record in admitted.records]
            message = Message(taken[-1])
            self.progress.deliver(message)
            self.messages.append((message, taken))
            self.delivered += taken
        self.at = self.progress.next_offset
        if admitted.hole:
            self.at = self.progress.reread()
            self.take([offset for offset in self.log if offset >= self.at][:5], set())  # a fetch from right there

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
        assert unfinished or done == (self.delivered[-1] + 1 if self.delivered else self.start)


TestOneAssignment = OneAssignment.TestCase
