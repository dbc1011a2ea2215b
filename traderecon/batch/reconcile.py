"""Reconcile: CSV files in; every trade's verdict, the rejects and a summary out.

    files ─> chunks ─> split by range of trade_id ─> parts ─> judge each ─> outputs in order

Chunks and parts are independent, so several processes can share them. Memory is bounded by ``HELD_BYTES`` of input, and
by one chunk and one part per process; only a single trade of very many lines outgrows its part. The result is the same
whatever the number of processes, chunks or parts.
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from heapq import merge
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from traderecon.batch.inputs import Input, names_of
from traderecon.batch.outputs import Format, put_together, whole
from traderecon.batch.part import Chunks, Job, Judged, judge_part, start_worker
from traderecon.batch.split import CHUNK_BYTES, boundaries, split
from traderecon.batch.summary import Reject, Summary
from traderecon.batch.vectorized import VectorizedRules
from traderecon.present.trade_row import spreadsheet_safe
from traderecon.records import RejectCode
from traderecon.rules import Rules

HELD_BYTES = 256 * 1024 * 1024
"""Smaller inputs may be held in memory; larger ones are split on disk."""

REJECT_COLUMNS = ("line", "file", "code", "text")

Advance = Callable[[int], None]
"""Told how many bytes have been dealt with; a run deals with every byte twice: it is split off, then judged."""

Each = Callable[..., Iterable[Any]]
"""``map``, here or on several processors: results in the order of the arguments."""


class Run(msgspec.Struct, frozen=True):
    """What to reconcile, under which rules, and where the outcome goes.

    ``out`` None is CSV on stdout. ``rejects`` is written when there are any, and with ``keep_empty`` always; without,
    an older one is removed: yesterday's file is not taken for today's. ``processors`` is how many processes share
    the work, None the quickest number; without ``screened`` the core judges every trade, slowly, to the same result.
    """

    inputs: list[Input]
    rules: Rules
    out: Path | None
    form: Format
    rejects: Path
    keep_empty: bool = True
    processors: int | None = None
    screened: bool = True

    @property
    def bytes_to_do(self) -> int:
        """What ``Advance`` adds up to."""
        return 2 * sum(file.size - file.start for file in self.inputs)


def reconcile(run: Run, advance: Advance) -> Summary:
    """Judge every trade of the files, write the outputs, and sum up."""
    bounds = boundaries(run.inputs)
    count = min(run.processors or _quickest(run), len(bounds) + 1)
    with TemporaryDirectory(prefix="traderecon-") as temporary, _processes(count) as each:
        folder = Path(temporary)
        held = count == 1 and sum(file.size for file in run.inputs) <= HELD_BYTES
        files = _split(run, bounds, None if held else folder, each, advance)
        job = Job(run.rules, run.form, folder, run.screened)
        parts = _judge(job, files, len(bounds) + 1, each, advance)
        summary = Summary()
        for part in parts:
            summary.merge(part.summary)
        for file in run.inputs:
            file.require_unchanged()
        _write_rejects(run, [part.rejects for part in parts], summary)
        put_together(run.form, [part.rows for part in parts], run.out)
        return summary


def _quickest(run: Run) -> int:
    """One process where the screen reads every line and all fit in memory: it uses all processors by itself."""
    screened = run.screened and VectorizedRules.of(run.rules) is not None and all(file.plain for file in run.inputs)
    if screened and sum(file.size for file in run.inputs) <= HELD_BYTES:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _processes(count: int) -> Iterator[Each]:
    if count == 1:
        yield map
    else:
        # spawn: a worker starts clean, whatever threads this process has.
        with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=start_worker) as pool:
            yield pool.map


def _split(run: Run, bounds: list[str], folder: Path | None, each: Each, advance: Advance) -> list[Chunks]:
    """Sort every file's lines by part, to disk or, without a folder, in memory."""
    places = [(place, chunk) for place, file in enumerate(run.inputs) for chunk in file.chunks(CHUNK_BYTES)]
    chunks = [chunk for _, chunk in places]
    paths = [folder / f"chunk-{number:06d}" if folder else None for number in range(len(chunks))]
    names = names_of(run.inputs)
    files = [Chunks(file.source, name, file.header, []) for file, name in zip(run.inputs, names, strict=True)]
    for (place, chunk), spill in zip(places, each(split, chunks, repeat(bounds), paths), strict=True):
        files[place].spills.append(spill)
        advance(chunk.end - chunk.start)
    return files


def _judge(job: Job, files: list[Chunks], parts: int, each: Each, advance: Advance) -> list[Judged]:
    judged: list[Judged] = []
    for number, part in enumerate(each(judge_part, range(parts), repeat(files), repeat(job))):
        judged.append(part)
        advance(sum(spill.bytes_of(number) for file in files for spill in file.spills))
    return judged


def _write_rejects(run: Run, parts: list[Path], summary: Summary) -> None:
    """All parts' rejects, in the order of the files and their lines."""
    in_order = merge(*(_read_rejects(part) for part in parts))
    first = next(in_order, None)
    if first is None and not run.keep_empty:
        run.rejects.unlink(missing_ok=True)
        return
    with whole(run.rejects) as path, path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(REJECT_COLUMNS)
        for _, line, name, code, text in chain([first] if first else [], in_order):
            rows.writerow((line, spreadsheet_safe(name), code, spreadsheet_safe(text)))
            summary.reject(Reject(name, line, RejectCode(code), text))


def _read_rejects(path: Path) -> Iterator[tuple[int, int, str, str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for place, line, name, code, text in csv.reader(file):
            yield int(place), int(line), name, code, text
