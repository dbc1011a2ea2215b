"""A run over files: lines on disk, reconciled, and everything the run left behind.

{source: bytes of its file} -> written -> inputs -> left_by -> Left(out, rejects, summary)
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from traderecon.batch.inputs import Input
from traderecon.batch.outputs import Format
from traderecon.batch.part import Chunks
from traderecon.batch.reconcile import Run, reconcile
from traderecon.batch.split import CHUNK_BYTES, split
from traderecon.batch.summary import Summary
from traderecon.records import Source
from traderecon.rules import FOUNDING, Rules
from traderecon.simulator import PROFILES, feed, header

TERMS = "trade_id,ticker,quantity,price,timestamp"
PLAIN = {Source.EXECUTIONS: TERMS, Source.CONFIRMATIONS: TERMS, Source.PNL: "trade_id,pnl_impact,commission"}
"""The founding columns, in their order."""

Files = Mapping[Source, bytes]


class Left(NamedTuple):
    """The bytes of the output and of the rejects, and the summary."""

    out: bytes
    rejects: bytes
    summary: Summary


def file_of(lines: Iterable[str], header: str) -> bytes:
    """A header and lines; lone surrogates are the bytes that are no UTF-8."""
    return "".join(f"{line}\n" for line in (header, *lines)).encode(errors="surrogateescape")


def plain_files(
    executions: Iterable[str], confirmations: Iterable[str], pnl: Iterable[str] = ()
) -> dict[Source, bytes]:
    """Three files with the founding columns."""
    each = zip(Source, (executions, confirmations, pnl), strict=True)
    return {source: file_of(lines, PLAIN[source]) for source, lines in each}


def simulated(profile: str, *, trades: int, seed: int = 7) -> dict[Source, bytes]:
    """The files of a simulated day."""
    chosen = PROFILES[profile]
    lines: dict[Source, list[str]] = {source: [] for source in Source}
    for message in feed(seed, trades, chosen):
        lines[message.source].append(message.row)
    return {source: file_of(lines[source], header(source, chosen)) for source in Source}


def written(folder: Path, files: Files) -> list[Input]:
    """Write each file under the name of its source, and open it."""
    for source, content in files.items():
        (folder / f"{source}.csv").write_bytes(content)
    return [Input.open(source, folder / f"{source}.csv") for source in files]


def cut_up(
    file: Input, bounds: Sequence[str] = (), chunk_bytes: int = CHUNK_BYTES, folder: Path | None = None
) -> Chunks:
    """A file in chunks of about this size, split at these bounds: in memory, or into a folder."""
    spills = [
        split(chunk, list(bounds), folder / f"{file.source}-{number}" if folder else None)
        for number, chunk in enumerate(file.chunks(chunk_bytes))
    ]
    return Chunks(file.source, file.path.name, file.header, file.settings, spills)


def left_by(
    inputs: list[Input],
    rules: Rules = FOUNDING,
    form: Format = Format.CSV,
    *,
    vectorized: bool = True,
    processors: int | None = 1,
    advance: Callable[[int], None] = lambda count: None,
) -> Left:
    """Reconcile; the outputs are beside the inputs."""
    folder = inputs[0].path.parent
    out, rejects = folder / f"out{form}", folder / "out.rejects.csv"
    run = Run(inputs, rules, out, form, rejects, processors=processors, vectorized=vectorized)
    summary = reconcile(run, advance)
    return Left(out.read_bytes(), rejects.read_bytes(), summary)


def rows_of(content: bytes) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, cells by the names of their columns."""
    return csv.DictReader(io.StringIO(content.decode(), newline=""))
