"""Oracle: what the topics must say after "count and forward", worked out from the input log alone.

    History (input, output, changelog, commits, acknowledged records) -> Findings

The rule: within a partition, in offset order, the first record with a given key and uid is a fact. Its output goes
to the same partition under the same key: ``{"key":...,"uid":...,"n":...,"at":...}``, n the number of facts of that
key so far, at the input offset. Its row in the changelog is key, NUL, uid -> the offset in decimal.
A record whose key and uid were there before is a duplicate and makes nothing.

Pure: lists in, findings out. It shares no code with what it judges.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from torture.findings import Defect, Entry, Finding

INTERNAL = b"\x00"
"""How rows start that a table keeps for itself."""


class Fact(NamedTuple):
    """What the input log says of one fact, and the output it must have."""

    partition: int
    at: int
    key: bytes
    uid: bytes
    output: bytes


@dataclass
class History:
    """Everything there is to judge by. Entries of a partition are in offset order.

    ``acknowledged`` is what the feeder was told is in the input. ``committed`` (if it is) and ``ends``: the next
    offset per input partition. ``state`` says whether the changelog is judged.
    """

    inputs: list[Entry] = field(default_factory=list)
    outputs: list[Entry] = field(default_factory=list)
    changelog: list[Entry] = field(default_factory=list)
    acknowledged: list[Entry] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    state: bool = True

    def findings(self) -> list[Finding]:
        """Every defect."""
        return judge(self, state=self.state)

    def unsettled(self) -> list[str]:
        """What keeps it from being settled."""
        return unsettled(self)

    @property
    def busy(self) -> bool:
        """Whether some input is not committed."""
        return self.committed != self.ends

    digest = ""
    """Where records stand decides the outputs: another schedule has others."""
    trades = 0

    @property
    def repeated(self) -> int:
        """How many outputs came again."""
        return repeated(self.outputs)

    @property
    def entries(self) -> Mapping[str, Sequence[Entry]]:
        """Every record, by topic."""
        return {"in": self.inputs, "out": self.outputs, "changelog": self.changelog}


def facts_of(inputs: Iterable[Entry]) -> Iterator[Fact]:
    """The facts of an input log, in its order."""
    seen: set[tuple[int, bytes, bytes]] = set()
    counts: Counter[tuple[int, bytes]] = Counter()
    for partition, at, key, uid in inputs:
        if key is None or uid is None or (partition, key, uid) in seen:
            continue
        seen.add((partition, key, uid))
        counts[partition, key] += 1
        answer = {"key": key.decode(), "uid": uid.decode(), "n": counts[partition, key], "at": at}
        yield Fact(partition, at, key, uid, json.dumps(answer, separators=(",", ":")).encode())


def judge(history: History, *, state: bool) -> list[Finding]:
    """Every defect of a history; ``state`` says whether the changelog is judged.

    At any moment, if the history was read in this order: commits and acknowledged records, outputs, changelog, input.
    What is committed is done; a fact that is not committed yet may have its output and its row, and need not.
    """
    facts = list(facts_of(history.inputs))
    return list(
        chain(
            judge_inputs(history),
            judge_outputs(facts, history),
            judge_state(facts, history) if state else (),
            judge_commits(history),
        )
    )


def judge_inputs(history: History) -> Iterator[Finding]:
    """INPUT: the broker acknowledged a record that is not in the log: then nobody can be judged by this log."""
    log = {(entry.partition, entry.offset): entry for entry in history.inputs}
    for told in history.acknowledged:
        if log.get((told.partition, told.offset)) != told:
            yield Finding(Defect.INPUT, told.partition, told.offset, f"acknowledged {told.key!r} {told.value!r}: gone")


def judge_outputs(facts: Iterable[Fact], history: History) -> Iterator[Finding]:
    """LOST: a committed fact without its output. WRONG: an output that no fact asks for, byte for byte."""
    expected = {(fact.partition, fact.key, fact.output): fact.at for fact in facts}
    there = set()
    for partition, offset, key, value in history.outputs:
        if key is not None and value is not None and (partition, key, value) in expected:
            there.add((partition, key, value))
        else:
            yield Finding(Defect.WRONG, partition, offset, f"nothing in the input asks for {key!r} {value!r}")
    for (partition, key, value), at in expected.items():
        if (partition, key, value) not in there and at < history.committed.get(partition, 0):
            yield Finding(Defect.LOST, partition, at, f"committed, but {key!r} {value!r} is not there")


def judge_state(facts: Iterable[Fact], history: History) -> Iterator[Finding]:
    """STATE: a committed fact without its row, a row with another value, or one that no fact asks for."""
    rows = newest(history.changelog)
    for partition, at, key, uid, _ in facts:
        name, value = key + INTERNAL + uid, b"%d" % at
        row = rows.pop((partition, name), None)
        if row is None and at < history.committed.get(partition, 0):
            yield Finding(Defect.STATE, partition, at, f"committed, but there is no row {name!r}")
        elif row is not None and row.value != value:
            yield Finding(Defect.STATE, partition, row.offset, f"row {name!r} is {row.value!r}, not {value!r}")
    for (partition, name), row in rows.items():
        yield Finding(Defect.STATE, partition, row.offset, f"nothing asks for the row {name!r} {row.value!r}")


def newest(changelog: Iterable[Entry]) -> dict[tuple[int, bytes], Entry]:
    """The newest row of every key, without what was deleted and what the table keeps for itself."""
    rows: dict[tuple[int, bytes], Entry] = {}
    for entry in changelog:
        if entry.key is None or entry.key.startswith(INTERNAL):
            continue
        if entry.value is None:
            rows.pop((entry.partition, entry.key), None)
        else:
            rows[entry.partition, entry.key] = entry
    return rows


def judge_commits(history: History) -> Iterator[Finding]:
    """COMMIT: an offset beyond the end of its partition."""
    for partition, offset in history.committed.items():
        if offset > (end := history.ends.get(partition, 0)):
            yield Finding(Defect.COMMIT, partition, offset, f"committed beyond the end {end}")


def unsettled(history: History) -> list[str]:
    """What keeps a history from being settled: a partition not committed to its end, outputs that are missing."""
    behind = [
        f"partition {partition} is committed to {history.committed.get(partition, 0)} of {end}"
        for partition, end in sorted(history.ends.items())
        if history.committed.get(partition, 0) != end
    ]
    outputs = {(entry.partition, entry.key, entry.value) for entry in history.outputs}
    missing = sum((fact.partition, fact.key, fact.output) not in outputs for fact in facts_of(history.inputs))
    return behind + ([f"{missing} outputs are missing"] if missing else [])


def repeated(outputs: Iterable[Entry]) -> int:
    """How many outputs came again, byte for byte."""
    return sum(times - 1 for times in Counter((entry.partition, entry.key, entry.value) for entry in outputs).values())
