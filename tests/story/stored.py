"""What a pipeline stores of the stories: what it must be, what it is, and every difference.

expectation(copies, places, rules, grace) -> Expectation.differences(Stored.read(database)) -> sentences
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scenario import Grace, Message

from story.copies import Copy, distinct, rejected_codes
from traderecon.records import State
from traderecon.rules import Rules

Place = tuple[str, int, int]
"""Topic, partition and offset of a message."""


class Newest(NamedTuple):
    """The newest result of a trade: the event id covers state, reasons, outcomes of checks, facts and rules."""

    state: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    event_id: str


class Stored(NamedTuple):
    """The database of a run, by trade; dead letters by the place of their message."""

    newest: dict[str, Newest]
    states: dict[str, list[State]]
    transitions: dict[str, list[str]]
    dead_letters: dict[Place, str]

    @classmethod
    def read(cls, database: sqlite3.Connection, prefix: str = "") -> "Stored":
        """Read everything; ``prefix`` is that of the topics."""
        newest = {
            trade_id: Newest(state, tuple(json.loads(reasons)), tuple(json.loads(hints)), event_id)
            for trade_id, state, reasons, hints, event_id in database.execute(
                "SELECT trade_id, state, reasons, hints, event_id FROM results"
            )
        }
        states: defaultdict[str, list[State]] = defaultdict(list)
        for trade_id, state in database.execute("SELECT trade_id, state FROM result_history ORDER BY version"):
            states[trade_id].append(State(state))
        transitions: defaultdict[str, list[str]] = defaultdict(list)
        for trade_id, transition in database.execute("SELECT trade_id, transition FROM break_events ORDER BY version"):
            transitions[trade_id].append(transition)
        dead_letters = {
            (topic.removeprefix(prefix), partition, offset): code
            for topic, partition, offset, code in database.execute(
                "SELECT source_topic, source_partition, source_offset, code FROM dead_letters"
            )
        }
        return cls(newest, dict(states), dict(transitions), dead_letters)


class Expectation(NamedTuple):
    """What must be stored, by trade and by place. ``states`` and ``transitions``: of the trades whose way is told."""

    newest: dict[str, Newest]
    states: dict[str, list[State]]
    transitions: dict[str, list[str]]
    dead_letters: dict[Place, str]

    def differences(self, stored: Stored) -> list[str]:
        """Everything that is not as it must be: a trade, its way there, a dead letter, or one too many."""
        told_states = {trade_id: distinct(stored.states.get(trade_id, [])) for trade_id in self.states}
        told_transitions = {trade_id: stored.transitions.get(trade_id, []) for trade_id in self.transitions}
        return [
            *_differing("result", self.newest, stored.newest),
            *_differing("states", self.states, told_states),
            *_differing("break", self.transitions, told_transitions),
            *_differing("dead letter", self.dead_letters, stored.dead_letters),
        ]


def expectation(
    copies: Sequence[Copy], places: Mapping[str, Sequence[Place]], rules: Rules, grace: Grace
) -> Expectation:
    """What the core and the stories say of these copies, as far as their messages were sent.

    ``places``: of each copy, by its key, the places of its messages. ``grace``: whether every grace is over by now.
    """
    expected = Expectation({}, {}, {}, {})
    for copy in copies:
        for trade_id, result in copy.results(rules, grace).items():
            verdict = result.verdict
            late = copy.arrival_hints(trade_id) if grace is Grace.OVER else ()
            hints = tuple(sorted({*verdict.hints, *late}))
            expected.newest[trade_id] = Newest(verdict.state, verdict.reasons, hints, result.event_id)
            if grace is Grace.OVER and copy.states is not None:
                expected.states[trade_id] = copy.states
            if grace is Grace.OVER and copy.breaks is not None:
                expected.transitions[trade_id] = [str(step) for step in copy.breaks]
        codes = rejected_codes(copy.decoded())
        positions = [position for position, entry in enumerate(copy.entries) if isinstance(entry, Message)]
        for position, place in zip(positions, places[copy.key], strict=True):
            if position in codes:
                expected.dead_letters[place] = codes[position]
    return expected


def _differing(what: str, expected: Mapping[Any, object], found: Mapping[Any, object]) -> Iterator[str]:
    for key in sorted({*expected, *found}, key=str):
        if (value := expected.get(key)) != found.get(key):
            yield f"{what} of {key!r}: {found.get(key)}, and it should be {value}"
