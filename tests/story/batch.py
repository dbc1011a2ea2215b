"""Stories in the batch: their rows in files, all stories of the same rules and columns in one run of its engine.

    run_batch(files, rules, sources, folder, vectorized=...) -> BatchRun(rows by trade, rejects by file and line)

A row is expected as the core makes it of the copy's messages; a file has no arrival order, so its lines stand as the
copy has them.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from scenario import Grace, Message

from story.copies import Copy, Profile, rejected_codes
from traderecon.batch.inputs import Input
from traderecon.batch.outputs import Format
from traderecon.batch.reconcile import Run, reconcile
from traderecon.intake import SettingsBySource
from traderecon.matching import effective_sides
from traderecon.matching.assess import assess
from traderecon.present.trade_row import COLUMNS as RESULT_COLUMNS
from traderecon.present.trade_row import LISTS, row
from traderecon.records import Source
from traderecon.rules import Rules


class BatchRun(NamedTuple):
    """What a run wrote: the cells of each trade, and the code of each rejected line, by file and line."""

    rows: dict[str, dict[str, str]]
    rejects: dict[tuple[str, int], str]


class Files(NamedTuple):
    """The lines of the input files, header first, and the lines that must be rejected."""

    lines: dict[Source, list[list[str]]]
    rejects: dict[tuple[str, int], str]


def headers(copy: Copy) -> dict[Source, tuple[str, ...]]:
    """The columns of each file: those of the source, then what the messages have besides."""
    settings = Profile.of(copy.story).settings
    names = {topic: list(settings[topic].columns(topic)) for topic in Source}
    for message in copy.messages:
        names[message.topic].extend(name for name in message.fields or () if name not in names[message.topic])
    return {topic: tuple(columns) for topic, columns in names.items()}


def files_of(copies: Iterable[Copy]) -> Files:
    """The files of copies with the same columns."""
    lines: dict[Source, list[list[str]]] = {}
    rejects = {}
    for copy in copies:
        columns = headers(copy)
        codes = rejected_codes(copy.decoded())
        for position, entry in enumerate(copy.entries):
            if not isinstance(entry, Message):
                continue
            if entry.fields is None:
                raise ValueError(f"{copy.name}: a message given as bytes is no row: say so in not_in")
            rows = lines.setdefault(entry.topic, [list(columns[entry.topic])])
            rows.append([cell(entry.fields.get(name, "")) for name in columns[entry.topic]])
            if position in codes:
                rejects[f"{entry.topic}.csv", len(rows)] = codes[position]
    return Files(lines, rejects)


def cell(value: object) -> str:
    """A field as a cell: a number as it is written in the story."""
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_batch(files: Files, rules: Rules, sources: SettingsBySource, folder: Path, *, vectorized: bool) -> BatchRun:
    """Write the files and reconcile them, with one process."""
    inputs = []
    for topic in Source:
        path = folder / f"{topic}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                files.lines.get(topic, [list(sources[topic].columns(topic))])
            )
        inputs.append(Input.open(topic, path, path.name, sources[topic]))
    out, rejects = folder / "results.json", folder / "rejects.csv"
    run = Run(inputs, rules, out, Format.JSON, rejects, processors=1, vectorized=vectorized)
    reconcile(run, lambda _: None)
    with rejects.open(encoding="utf-8", newline="") as file:
        codes = {(line["file"], int(line["line"])): line["code"] for line in csv.DictReader(file)}
    found: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    return BatchRun({cells["trade_id"]: as_text(cells) for cells in found}, codes)


def as_text(cells: dict[str, Any]) -> dict[str, str]:
    """A JSON row as the text that ``trade_row.row`` makes."""
    return {
        name: ";".join(value) if name in LISTS else "" if value is None else str(value) for name, value in cells.items()
    }


def expected_rows(copies: Sequence[Copy], rules: Rules) -> dict[str, dict[str, str]]:
    """The row of every trade, as the core makes it when every grace has passed."""
    expected = {}
    for copy in copies:
        for trade_id, result in copy.results(rules, Grace.OVER).items():
            in_order = sorted(result.facts, key=lambda fact: fact.origin.offset)
            sides = effective_sides(in_order, rules)
            expected[trade_id] = dict(
                zip(
                    RESULT_COLUMNS,
                    row(trade_id, sides, result.verdict, assess(sides, result.verdict, rules)),
                    strict=True,
                )
            )
    return expected
