"""Completeness: what the ledger says of every source offset, against the log itself and the dead letters.

    I1  offsets [start, committed) of a source partition = legs + rejected + control, none of them counted twice
    I5  the sha256 of every dead letter is that of the record's bytes

Pure: lists in, findings out. It shares no code with what it judges.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torture.findings import Defect, Entry, Finding

TopicPartition = tuple[str, int]
"""A topic and a partition."""
Row = Mapping[str, Any]


def judge_completeness(
    sources: Mapping[str, Sequence[Entry]],
    committed: Mapping[TopicPartition, int],
    legs: Sequence[Entry],
    ledger: Sequence[Row],
    dead_letters: Sequence[Row],
    *,
    legs_topic: str = "legs",
) -> Iterator[Finding]:
    """What is wrong once everything is settled; nothing where every offset is accounted for.

    ``sources`` has the records of the inputs that a reader may see, ``committed`` intake's next offsets, ``legs`` the
    journal; ``ledger`` and ``dead_letters`` are rows by their columns.
    """
    facts = {
        (origin["topic"], origin["partition"], origin["offset"])
        for entry in legs
        if entry.key is not None
        for origin in [json.loads(entry.value or b"")["origin"]]
    }
    letters = {(row["source_topic"], row["source_partition"], row["source_offset"]) for row in dead_letters}
    rows = {(row["topic"], row["partition"]): row for row in ledger}
    values = {
        (topic, entry.partition, entry.offset): entry.value for topic, entries in sources.items() for entry in entries
    }
    yield from _judge_letters(values, dead_letters, sources)
    for tp, next_offset in sorted(committed.items()):
        if next_offset == 0 or tp[0] not in sources:
            continue
        row = rows.get(tp)
        if row is None:
            yield Finding(Defect.LOST, tp[1], 0, f"{tp[0]} is committed up to {next_offset}, and no account says why")
            continue
        yield from _judge_row(tp, next_offset, row)
        yield from _judge_counts(tp, row, values, facts, letters)
    yield from _judge_journal(legs, {tp: row for tp, row in rows.items() if tp[0] == legs_topic})


def _judge_row(tp: TopicPartition, next_offset: int, row: Row) -> Iterator[Finding]:
    topic, partition = tp
    if row["unaccounted"] or json.loads(row["gaps"]):
        yield Finding(Defect.LOST, partition, row["start"], f"{topic} has unaccounted offsets: {row['gaps']}")
    if row["next_offset"] < next_offset:
        text = f"{topic} is committed up to {next_offset}, accounted for up to {row['next_offset']}"
        yield Finding(Defect.LOST, partition, row["next_offset"], text)
    width = row["next_offset"] - row["start"]
    counted = sum(row[name] for name in ("legs", "duplicates", "rejected", "control", "skipped", "unaccounted"))
    if width != counted:
        yield Finding(Defect.WRONG, partition, row["start"], f"{topic} has {width} offsets, the ledger says {counted}")


def _judge_counts(
    tp: TopicPartition,
    row: Row,
    values: Mapping[tuple[str, int, int], object],
    facts: set[tuple[str, int, int]],
    letters: set[tuple[str, int, int]],
) -> Iterator[Finding]:
    def within(places: Iterable[tuple[str, int, int]]) -> int:
        return sum(one[:2] == tp and row["start"] <= one[2] < row["next_offset"] for one in places)

    records = within(values)
    truth = {
        "legs": within(facts),
        "rejected": within(letters),
        "control": row["next_offset"] - row["start"] - records,
    }
    for name, count in truth.items():
        if row[name] != count:
            text = f"{tp[0]}: the ledger says {row[name]} {name}, the log {count}"
            yield Finding(Defect.WRONG, tp[1], row["start"], text)
    if truth["legs"] + truth["rejected"] != records:
        text = f"{tp[0]} has {records} records, {truth['legs']} are legs and {truth['rejected']} dead letters"
        yield Finding(Defect.LOST, tp[1], row["start"], text)


def _judge_letters(
    values: Mapping[tuple[str, int, int], bytes | None], letters: Sequence[Row], sources: Mapping[str, object]
) -> Iterator[Finding]:
    for row in letters:
        tp = row["source_topic"], row["source_partition"], row["source_offset"]
        if tp[0] not in sources:
            continue
        if tp not in values:
            yield Finding(Defect.WRONG, *tp[1:], f"a dead letter of {tp[0]} for a record that is not there")
            continue
        value = values[tp]
        if row["sha256"] != (None if value is None else hashlib.sha256(value).hexdigest()):
            yield Finding(Defect.WRONG, *tp[1:], f"a dead letter of {tp[0]} has other bytes than its record")


def _judge_journal(legs: Sequence[Entry], rows: Mapping[TopicPartition, Row]) -> Iterator[Finding]:
    """Every fact of the journal is new to its trade, a duplicate, or rejected."""
    for (topic, partition), row in rows.items():
        within = range(row["start"], row["next_offset"])
        facts = sum(entry.key is not None and entry.partition == partition and entry.offset in within for entry in legs)
        counted = row["legs"] + row["duplicates"] + row["rejected"]
        if not row["unaccounted"] and facts != counted:
            yield Finding(
                Defect.WRONG, partition, row["start"], f"{topic} has {facts} facts, the ledger says {counted}"
            )
