"""Reconcile CSV files: a verdict per trade, the rejects and a summary.

    files ─> chunks ─> split by range of trade_id ─> parts ─> judge each ─> outputs in order

Chunks and parts are independent, so several processes can share them. Memory is bounded by ``MAX_IN_MEMORY_BYTES`` of
input, plus one chunk and one part per process; only a single trade with very many lines can exceed its part. The result
does not depend on the number of processes, chunks or parts.
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
from traderecon.batch.outputs import Format, join_parts, replace_when_done
from traderecon.batch.part import Chunks, Job, PartResult, judge_part, start_worker
from traderecon.batch.reconciled import StoredFacts
from traderecon.batch.split import CHUNK_BYTES, boundaries, split
from traderecon.batch.summary import Reject, Summary
from traderecon.batch.vectorized import VectorizedRules
from traderecon.present.trade_row import spreadsheet_safe
from traderecon.records import RejectCode
from traderecon.rules import Rules

MAX_IN_MEMORY_BYTES = 256 * 1024 * 1024
"""Smaller inputs may be split in memory; larger ones are split on disk."""

REJECT_COLUMNS = ("line", "file", "code", "text")

Advance = Callable[[int], None]
"""Called with the number of bytes processed; a run processes every byte twice, to split and to judge it."""

Map = Callable[..., Iterable[Any]]
"""``map``, in this process or in several: results in the order of the arguments."""


class Run(msgspec.Struct, frozen=True):
    """What to reconcile, under which rules, and where the output goes.

    ``out`` None is stdout. ``rejects`` is written if there are any, with ``keep_empty`` always; without it, an older
    file is removed, so that it is not mistaken for this run's. ``processors``: number of processes, None the fastest;
    ``vectorized`` False has the core judge every trade, slower but with the same result. ``stored`` tells which trades
    were reconciled before; then the core judges every trade.
    """

    inputs: list[Input]
    rules: Rules
    out: Path | None
    form: Format
    rejects: Path
    keep_empty: bool = True
    processors: int | None = None
    vectorized: bool = True
    stored: StoredFacts | None = None

    @property
    def bytes_to_do(self) -> int:
        """The total that ``Advance`` reports."""
        return 2 * sum(file.size - file.start for file in self.inputs)


def reconcile(run: Run, advance: Advance) -> Summary:
    """Judge every trade in the files, write the outputs, and return the summary."""
    bounds = boundaries(run.inputs)
    count = min(run.processors or _fastest_count(run), len(bounds) + 1)
    with TemporaryDirectory(prefix="traderecon-") as temporary, _processes(count) as map_:
        folder = Path(temporary)
        in_memory = count == 1 and sum(file.size for file in run.inputs) <= MAX_IN_MEMORY_BYTES
        files = _split(run, bounds, None if in_memory else folder, map_, advance)
        job = Job(run.rules, run.form, folder, run.vectorized, run.stored)
        parts = _judge(job, files, len(bounds) + 1, map_, advance)
        summary = Summary()
        for part in parts:
            summary.merge(part.summary)
        for file in run.inputs:
            file.require_unchanged()
        _write_rejects(run, [part.rejects for part in parts], summary)
        join_parts(run.form, [part.rows for part in parts], run.out)
        return summary


def _fastest_count(run: Run) -> int:
    """One process if everything is vectorized and fits in memory: Polars uses all processors by itself."""
    vectorized = (
        run.vectorized
        and run.stored is None
        and VectorizedRules.of(run.rules) is not None
        and all(file.plain for file in run.inputs)
    )
    if vectorized and sum(file.size for file in run.inputs) <= MAX_IN_MEMORY_BYTES:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _processes(count: int) -> Iterator[Map]:
    if count == 1:
        yield map
    else:
        # spawn, because this process may have threads
        with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=start_worker) as pool:
            yield pool.map


def _split(run: Run, bounds: list[str], folder: Path | None, map_: Map, advance: Advance) -> list[Chunks]:
    """Sort the lines of every file by part, on disk or, without a folder, in memory."""
    indexed = [(index, chunk) for index, file in enumerate(run.inputs) for chunk in file.chunks(CHUNK_BYTES)]
    chunks = [chunk for _, chunk in indexed]
    paths = [folder / f"chunk-{number:06d}" if folder else None for number in range(len(chunks))]
    names = names_of(run.inputs)
    files = [
        Chunks(file.source, name, file.header, file.settings, []) for file, name in zip(run.inputs, names, strict=True)
    ]
    for (index, chunk), spill in zip(indexed, map_(split, chunks, repeat(bounds), paths), strict=True):
        files[index].spills.append(spill)
        advance(chunk.end - chunk.start)
    return files


def _judge(job: Job, files: list[Chunks], parts: int, map_: Map, advance: Advance) -> list[PartResult]:
    judged: list[PartResult] = []
    for number, part in enumerate(map_(judge_part, range(parts), repeat(files), repeat(job))):
        judged.append(part)
        advance(sum(spill.bytes_of(number) for file in files for spill in file.spills))
    return judged


def _write_rejects(run: Run, parts: list[Path], summary: Summary) -> None:
    """Write the rejects of all parts, in the order of the files and their lines."""
    in_order = merge(*(_read_rejects(part) for part in parts))
    first = next(in_order, None)
    if first is None and not run.keep_empty:
        run.rejects.unlink(missing_ok=True)
        return
    with replace_when_done(run.rejects) as path, path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(REJECT_COLUMNS)
        for _, line, name, code, text in chain([first] if first else [], in_order):
            rows.writerow((line, spreadsheet_safe(name), code, spreadsheet_safe(text)))
            summary.reject(Reject(name, line, RejectCode(code), text))


def _read_rejects(path: Path) -> Iterator[tuple[int, int, str, str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for index, line, name, code, text in csv.reader(file):
            yield int(index), int(line), name, code, text
