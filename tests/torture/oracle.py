"""Oracle of the counting app: what its topics must contain, derived from the input log alone.

    History (input, output, changelog, commits, acknowledged records) -> Findings

The rule: within a partition, in offset order, the first record with a given key and uid is a fact. Its output goes
to the same partition under the same key: ``{"key":...,"uid":...,"n":...,"at":...}``, n the number of facts of that
key so far, at the input offset. Its row in the changelog is key, NUL, uid -> the offset in decimal.
A record whose key and uid occurred before is a duplicate and has no output.

Pure: lists in, findings out. It shares no code with the product.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from torture.findings import Defect, Entry, Finding

INTERNAL = b"\x00"
"""The key prefix of a table's internal rows."""


class Fact(NamedTuple):
    """A fact of the input log, and the output it must have."""

    partition: int
    offset: int
    key: bytes
    uid: bytes
    output: bytes


@dataclass
class History:
    """Everything that is judged. Entries of a partition are in offset order.

    ``acknowledged``: the input records that were acknowledged to the feeder. ``committed`` (if any) and ``ends``: the
    next offset per input partition. ``state``: whether the changelog is judged.
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
        """The work that is still open."""
        return unsettled(self)

    @property
    def busy(self) -> bool:
        """Whether input is uncommitted."""
        return self.committed != self.ends

    digest = ""
    """None: outputs depend on offsets, which differ between schedules."""
    trades = 0

    @property
    def repeated(self) -> int:
        """How many outputs were published more than once."""
        return repeated(self.outputs)

    @property
    def entries(self) -> Mapping[str, Sequence[Entry]]:
        """Every record, by topic."""
        return {"in": self.inputs, "out": self.outputs, "changelog": self.changelog}


def facts_of(inputs: Iterable[Entry]) -> Iterator[Fact]:
    """The facts of an input log, in its order."""
    known: set[tuple[int, bytes, bytes]] = set()
    counts: Counter[tuple[int, bytes]] = Counter()
    for partition, offset, key, uid in inputs:
        if key is None or uid is None or (partition, key, uid) in known:
            continue
        known.add((partition, key, uid))
        counts[partition, key] += 1
        output = {"key": key.decode(), "uid": uid.decode(), "n": counts[partition, key], "at": offset}
        yield Fact(partition, offset, key, uid, json.dumps(output, separators=(",", ":")).encode())


def judge(history: History, *, state: bool) -> list[Finding]:
    """Every defect of a history; ``state``: whether the changelog is judged.

    Valid at any time, if the history was read in this order: commits and acknowledged records, outputs, changelog,
    input. A committed fact must have its output and its row, an uncommitted one may have them.
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
    """INPUT: an acknowledged record is not in the log, so the log is no basis for a judgement."""
    entries_by_offset = {(entry.partition, entry.offset): entry for entry in history.inputs}
    for entry in history.acknowledged:
        if entries_by_offset.get((entry.partition, entry.offset)) != entry:
            yield Finding(
                Defect.INPUT, entry.partition, entry.offset, f"acknowledged {entry.key!r} {entry.value!r}: gone"
            )


def judge_outputs(facts: Iterable[Fact], history: History) -> Iterator[Finding]:
    """LOST: a committed fact without its output. WRONG: an output that is no fact's, byte for byte."""
    expected = {(fact.partition, fact.key, fact.output): fact.offset for fact in facts}
    found = set()
    for partition, offset, key, value in history.outputs:
        if key is not None and value is not None and (partition, key, value) in expected:
            found.add((partition, key, value))
        else:
            yield Finding(Defect.WRONG, partition, offset, f"nothing in the input asks for {key!r} {value!r}")
    for (partition, key, value), offset in expected.items():
        if (partition, key, value) not in found and offset < history.committed.get(partition, 0):
            yield Finding(Defect.LOST, partition, offset, f"committed, but {key!r} {value!r} is not there")


def judge_state(facts: Iterable[Fact], history: History) -> Iterator[Finding]:
    """STATE: a committed fact without its row, a row with a wrong value, or a row of no fact."""
    rows = newest(history.changelog)
    for partition, offset, key, uid, _ in facts:
        row_key, value = key + INTERNAL + uid, b"%d" % offset
        entry = rows.pop((partition, row_key), None)
        if entry is None and offset < history.committed.get(partition, 0):
            yield Finding(Defect.STATE, partition, offset, f"committed, but there is no row {row_key!r}")
        elif entry is not None and entry.value != value:
            yield Finding(Defect.STATE, partition, entry.offset, f"row {row_key!r} is {entry.value!r}, not {value!r}")
    for (partition, row_key), entry in rows.items():
        yield Finding(Defect.STATE, partition, entry.offset, f"nothing asks for the row {row_key!r} {entry.value!r}")


def newest(changelog: Iterable[Entry]) -> dict[tuple[int, bytes], Entry]:
    """The newest row of every key, without deleted rows and the table's internal ones."""
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
    """The work that is still open: partitions not committed to their end, missing outputs."""
    behind = [
        f"partition {partition} is committed to {history.committed.get(partition, 0)} of {end}"
        for partition, end in sorted(history.ends.items())
        if history.committed.get(partition, 0) != end
    ]
    outputs = {(entry.partition, entry.key, entry.value) for entry in history.outputs}
    missing = sum((fact.partition, fact.key, fact.output) not in outputs for fact in facts_of(history.inputs))
    return behind + ([f"{missing} outputs are missing"] if missing else [])


def repeated(outputs: Iterable[Entry]) -> int:
    """How many outputs were published more than once, byte for byte."""
    return sum(times - 1 for times in Counter((entry.partition, entry.key, entry.value) for entry in outputs).values())
