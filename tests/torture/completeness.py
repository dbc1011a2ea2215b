"""Completeness: the ledger of source offsets against the log itself and the dead letters.

    I1  offsets [start, committed) of a source partition = legs + rejected + control, none of them counted twice
    I5  the sha256 of every dead letter is that of the record's bytes

Pure: lists in, findings out. It shares no code with the product.
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
    """The findings once everything is settled; none if every offset is accounted for.

    ``sources``: the committed records of the inputs; ``committed``: intake's next offsets; ``legs``: the journal;
    ``ledger`` and ``dead_letters``: rows as column-value mappings.
    """
    fact_origins = {
        (origin["topic"], origin["partition"], origin["offset"])
        for entry in legs
        if entry.key is not None
        for origin in [json.loads(entry.value or b"")["origin"]]
    }
    rejected = {(row["source_topic"], row["source_partition"], row["source_offset"]) for row in dead_letters}
    ledger_rows = {(row["topic"], row["partition"]): row for row in ledger}
    values_by_origin = {
        (topic, entry.partition, entry.offset): entry.value for topic, entries in sources.items() for entry in entries
    }
    yield from _judge_dead_letters(values_by_origin, dead_letters, sources)
    for tp, next_offset in sorted(committed.items()):
        if next_offset == 0 or tp[0] not in sources:
            continue
        row = ledger_rows.get(tp)
        if row is None:
            yield Finding(Defect.LOST, tp[1], 0, f"{tp[0]} is committed up to {next_offset}, and no account says why")
            continue
        yield from _judge_row(tp, next_offset, row)
        yield from _judge_counts(tp, row, values_by_origin, fact_origins, rejected)
    yield from _judge_journal(legs, {tp: row for tp, row in ledger_rows.items() if tp[0] == legs_topic})


def _judge_row(tp: TopicPartition, next_offset: int, row: Row) -> Iterator[Finding]:
    topic, partition = tp
    if row["unaccounted"] or json.loads(row["gaps"]):
        yield Finding(Defect.LOST, partition, row["start"], f"{topic} has unaccounted offsets: {row['gaps']}")
    if row["next_offset"] < next_offset:
        text = f"{topic} is committed up to {next_offset}, accounted for up to {row['next_offset']}"
        yield Finding(Defect.LOST, partition, row["next_offset"], text)
    width = row["next_offset"] - row["start"]
    accounted = sum(row[name] for name in ("legs", "duplicates", "rejected", "control", "skipped", "unaccounted"))
    if width != accounted:
        yield Finding(
            Defect.WRONG, partition, row["start"], f"{topic} has {width} offsets, the ledger says {accounted}"
        )


def _judge_counts(
    tp: TopicPartition,
    row: Row,
    values_by_origin: Mapping[tuple[str, int, int], object],
    fact_origins: set[tuple[str, int, int]],
    rejected: set[tuple[str, int, int]],
) -> Iterator[Finding]:
    def count_covered(origins: Iterable[tuple[str, int, int]]) -> int:
        return sum(origin[:2] == tp and row["start"] <= origin[2] < row["next_offset"] for origin in origins)

    records = count_covered(values_by_origin)
    expected = {
        "legs": count_covered(fact_origins),
        "rejected": count_covered(rejected),
        "control": row["next_offset"] - row["start"] - records,
    }
    for name, count in expected.items():
        if row[name] != count:
            text = f"{tp[0]}: the ledger says {row[name]} {name}, the log {count}"
            yield Finding(Defect.WRONG, tp[1], row["start"], text)
    if expected["legs"] + expected["rejected"] != records:
        text = f"{tp[0]} has {records} records, {expected['legs']} are legs and {expected['rejected']} dead letters"
        yield Finding(Defect.LOST, tp[1], row["start"], text)


def _judge_dead_letters(
    values_by_origin: Mapping[tuple[str, int, int], bytes | None],
    dead_letters: Sequence[Row],
    sources: Mapping[str, object],
) -> Iterator[Finding]:
    for row in dead_letters:
        origin = row["source_topic"], row["source_partition"], row["source_offset"]
        if origin[0] not in sources:
            continue
        if origin not in values_by_origin:
            yield Finding(Defect.WRONG, *origin[1:], f"a dead letter of {origin[0]} for a record that is not there")
            continue
        value = values_by_origin[origin]
        if row["sha256"] != (None if value is None else hashlib.sha256(value).hexdigest()):
            yield Finding(Defect.WRONG, *origin[1:], f"a dead letter of {origin[0]} has other bytes than its record")


def _judge_journal(legs: Sequence[Entry], ledger_rows: Mapping[TopicPartition, Row]) -> Iterator[Finding]:
    """Every fact of the journal must be new to its trade, a duplicate, or rejected."""
    for (topic, partition), row in ledger_rows.items():
        offsets = range(row["start"], row["next_offset"])
        facts = sum(
            entry.key is not None and entry.partition == partition and entry.offset in offsets for entry in legs
        )
        accounted = row["legs"] + row["duplicates"] + row["rejected"]
        if not row["unaccounted"] and facts != accounted:
            yield Finding(
                Defect.WRONG, partition, row["start"], f"{topic} has {facts} facts, the ledger says {accounted}"
            )
