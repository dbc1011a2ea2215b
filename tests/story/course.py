"""The course of a run: what is sent when, for all copies of a profile, and what must be stored after each step.

steps: messages, one of each copy that is told step by step; all of the others at once
       -> the grace passes -> the messages after it -> the grace passes
"""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from scenario import Grace, Message

from story.copies import Copy
from story.stored import Expectation, Place, expectation
from traderecon.rules import Rules


class Sent(NamedTuple):
    """One message and where it goes; no key, as any producer may send it."""

    topic: str
    partition: int
    value: bytes | None


class Step(NamedTuple):
    """What to do, and what must be stored then. Nothing to send: let every grace pass."""

    sent: list[Sent]
    expected: Expectation

    @property
    def passes_grace(self) -> bool:
        """Whether it is time that goes on."""
        return not self.sent


def course_of(copies: Sequence[Copy], rules: Rules, partitions: int, *, one_by_one: bool = False) -> list[Step]:
    """Distribute the copies over the partitions; the messages of one copy and topic are in one partition.

    ``one_by_one``: every copy sends one message a step, so that each arrives in its own order, whatever its topics.
    """
    slots = {copy.key: _slots(copy, one_by_one=one_by_one) for copy in copies}
    partition = {copy.key: number % partitions for number, copy in enumerate(copies)}
    phases = max(slot[0] for each in slots.values() for slot in each) + 1
    ends: Counter[tuple[str, int]] = Counter()
    places: dict[str, list[Place]] = {copy.key: [] for copy in copies}
    steps: list[Step] = []
    for phase in range(phases):
        numbers = sorted({slot[1] for each in slots.values() for slot in each if slot[0] == phase and slot[1] >= 0})
        for number in numbers:
            sent = []
            for copy in copies:
                for entry, slot in zip(copy.entries, slots[copy.key], strict=True):
                    if slot == (phase, number) and isinstance(entry, Message):
                        topic = str(entry.topic)
                        sent.append(Sent(topic, partition[copy.key], entry.value))
                        places[copy.key].append((*(place := (topic, partition[copy.key])), ends[place]))
                        ends[place] += 1
            until = (phase, number)
            steps.append(Step(sent, _expected(copies, slots, until, places, rules)))
        until = (phase + 1, -1)
        steps.append(Step([], _expected(copies, slots, until, places, rules)))
    return steps


def _slots(copy: Copy, *, one_by_one: bool) -> list[tuple[int, int]]:
    """For each entry its phase and its step; the end of a grace begins a phase."""
    found: list[tuple[int, int]] = []
    for phase, (is_grace, entries) in enumerate(groupby(copy.entries, lambda entry: isinstance(entry, Grace))):
        number = (phase + 1) // 2
        for step, _ in enumerate(entries):
            in_turn = step if copy.stepwise or one_by_one else 0
            found.append((number, -1) if is_grace else (number, in_turn))
    return found


def _expected(
    copies: Sequence[Copy],
    slots: dict[str, list[tuple[int, int]]],
    until: tuple[int, int],
    places: dict[str, list[Place]],
    rules: Rules,
) -> Expectation:
    so_far = [copy._replace(entries=copy.entries[: sum(slot <= until for slot in slots[copy.key])]) for copy in copies]
    grace = Grace.OVER if until[0] else Grace.RUNNING
    return expectation(so_far, places, rules, grace)
