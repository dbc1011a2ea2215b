"""Completeness: what the ledger says of every source offset, against the log itself and the dead letters.

    I1  offsets [start, committed) of a source partition = legs + rejected + control, none of them counted twice
    I5  the sha256 of every dead letter is that of the bytes at its place

Pure: lists in, findings out. It shares no code with what it judges.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torture.findings import Defect, Entry, Finding

Place = tuple[str, int]
"""A topic and a partition."""
Row = Mapping[str, Any]


def judge_completeness(
    sources: Mapping[str, Sequence[Entry]],
    committed: Mapping[Place, int],
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
    books = {(row["topic"], row["partition"]): row for row in ledger}
    values = {
        (topic, entry.partition, entry.offset): entry.value for topic, entries in sources.items() for entry in entries
    }
    yield from _judge_letters(values, dead_letters, sources)
    for place, next_offset in sorted(committed.items()):
        if next_offset == 0 or place[0] not in sources:
            continue
        book = books.get(place)
        if book is None:
            yield Finding(Defect.LOST, place[1], 0, f"{place[0]} is committed up to {next_offset}, and nobody told why")
            continue
        yield from _judge_book(place, next_offset, book)
        yield from _judge_counts(place, book, values, facts, letters)
    yield from _judge_journal(legs, {place: book for place, book in books.items() if place[0] == legs_topic})


def _judge_book(place: Place, next_offset: int, book: Row) -> Iterator[Finding]:
    topic, partition = place
    if book["unaccounted"] or json.loads(book["gaps"]):
        yield Finding(Defect.LOST, partition, book["start"], f"{topic} has unaccounted offsets: {book['gaps']}")
    if book["next_offset"] < next_offset:
        text = f"{topic} is committed up to {next_offset}, accounted for up to {book['next_offset']}"
        yield Finding(Defect.LOST, partition, book["next_offset"], text)
    width = book["next_offset"] - book["start"]
    told = sum(book[name] for name in ("legs", "duplicates", "rejected", "control", "skipped", "unaccounted"))
    if width != told:
        yield Finding(Defect.WRONG, partition, book["start"], f"{topic} has {width} offsets, the ledger says {told}")


def _judge_counts(
    place: Place,
    book: Row,
    values: Mapping[tuple[str, int, int], object],
    facts: set[tuple[str, int, int]],
    letters: set[tuple[str, int, int]],
) -> Iterator[Finding]:
    def within(places: Iterable[tuple[str, int, int]]) -> int:
        return sum(one[:2] == place and book["start"] <= one[2] < book["next_offset"] for one in places)

    records = within(values)
    truth = {
        "legs": within(facts),
        "rejected": within(letters),
        "control": book["next_offset"] - book["start"] - records,
    }
    for name, count in truth.items():
        if book[name] != count:
            text = f"{place[0]}: the ledger says {book[name]} {name}, the log {count}"
            yield Finding(Defect.WRONG, place[1], book["start"], text)
    if truth["legs"] + truth["rejected"] != records:
        text = f"{place[0]} has {records} records, {truth['legs']} are legs and {truth['rejected']} dead letters"
        yield Finding(Defect.LOST, place[1], book["start"], text)


def _judge_letters(
    values: Mapping[tuple[str, int, int], bytes | None], letters: Sequence[Row], sources: Mapping[str, object]
) -> Iterator[Finding]:
    for row in letters:
        place = row["source_topic"], row["source_partition"], row["source_offset"]
        if place[0] not in sources:
            continue
        if place not in values:
            yield Finding(Defect.WRONG, *place[1:], f"a dead letter of {place[0]} for a record that is not there")
            continue
        value = values[place]
        if row["sha256"] != (None if value is None else hashlib.sha256(value).hexdigest()):
            yield Finding(Defect.WRONG, *place[1:], f"a dead letter of {place[0]} has other bytes than its record")


def _judge_journal(legs: Sequence[Entry], books: Mapping[Place, Row]) -> Iterator[Finding]:
    """Every fact of the journal is new to its trade, known, or put aside."""
    for (topic, partition), book in books.items():
        within = range(book["start"], book["next_offset"])
        facts = sum(entry.key is not None and entry.partition == partition and entry.offset in within for entry in legs)
        told = book["legs"] + book["duplicates"] + book["rejected"]
        if not book["unaccounted"] and facts != told:
            yield Finding(Defect.WRONG, partition, book["start"], f"{topic} has {facts} facts, the ledger says {told}")
