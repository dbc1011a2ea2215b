"""``traderecon reconcile``: the batch from a terminal."""

import hashlib
import json
import os
import webbrowser
from collections import Counter
from pathlib import Path
from typing import TypeVar

import click

from traderecon import __version__, clock
from traderecon.batch.inputs import Input, InputError, names_of
from traderecon.batch.outputs import Format, whole
from traderecon.batch.reconcile import Run
from traderecon.batch.reconcile import reconcile as run_batch
from traderecon.batch.summary import Summary
from traderecon.cli.console import fail, printable, progress, say
from traderecon.cli.files import named
from traderecon.cli.rules import effective_rules
from traderecon.exit_codes import Exit
from traderecon.records import Source
from traderecon.records.words import Word
from traderecon.settings import has_screen

Code = TypeVar("Code", bound=Word)

_FILE = click.Path(path_type=Path)
_FALLBACK_REJECTS = Path("traderecon.rejects.csv")
_LONG_BYTES = 10_000_000


@click.command()
@click.option(
    "--executions",
    required=True,
    multiple=True,
    help="CSV: trade_id,ticker,quantity,price,timestamp. May be repeated, or a pattern ('day-*.csv'); - is stdin.",
)
@click.option("--confirmations", required=True, multiple=True, help="CSV with the same columns.")
@click.option("--pnl", multiple=True, help="CSV: trade_id,pnl_impact,commission")
@click.option("--out", type=_FILE, help=".csv, .json or .parquet; - (default) is CSV on stdout.")
@click.option("--rejects", type=_FILE, help="Lines that are no leg, and why. Default: beside --out, .rejects.csv")
@click.option("--report", type=_FILE, help="A page to read or to send on (.html).")
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
@click.option("--fail-on-breaks", is_flag=True, help="Exit 1 when a trade needs a person; rejected rows do not count.")
@click.option("--fail-on-rejects", is_flag=True, help="Exit 1 when a row was rejected.")
@click.option(
    "--processors",
    "count",
    type=click.IntRange(1),
    help="How many processes share the work. Default: as many as are quickest.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout: the results, or with --out FILE the summary.")
def reconcile(
    *,
    executions: tuple[str, ...],
    confirmations: tuple[str, ...],
    pnl: tuple[str, ...],
    out: Path | None,
    rejects: Path | None,
    report: Path | None,
    open_report: bool,
    fail_on_breaks: bool,
    fail_on_rejects: bool,
    count: int | None,
    as_json: bool,
) -> None:
    """Reconcile CSV files: one verdict per trade, as if every grace had passed.

    Rows come out sorted by trade_id. A line that cannot be read is set aside with its reason, and the lines around it
    are reconciled all the same.
    """
    out = None if out is None or str(out) == "-" else out
    form = _form(out, as_json=as_json)
    if report and report.suffix.lower() not in {".html", ".htm"}:
        raise click.BadParameter(f"{report}: write a name that ends in .html", param_hint="--report")
    if open_report and report is None:
        raise click.UsageError("--open needs --report FILE.html")
    asked = {Source.EXECUTIONS: executions, Source.CONFIRMATIONS: confirmations, Source.PNL: pnl}
    files = [(source, file) for source, patterns in asked.items() for file in named(patterns)]
    rejects_path = rejects or (out.with_suffix(".rejects.csv") if out else _FALLBACK_REJECTS)
    rules, rules_file = effective_rules()
    _require_writable(
        [path for path in (out, rejects_path, report) if path],
        [path for path in (*(file.path for _, file in files), rules_file) if path],
    )
    try:
        inputs = [Input.open(source, *file) for source, file in files]
    except InputError as error:
        fail(Exit.INPUT, str(error))
    run = Run(
        inputs=inputs,
        rules=rules,
        out=out,
        form=form,
        rejects=rejects_path,
        keep_empty=bool(rejects or out),
        processors=count,
    )
    try:
        with progress(run.bytes_to_do, "reconciling", long=_LONG_BYTES) as advance:
            summary = run_batch(run, advance)
        _tell(summary, run)
        if as_json and out:
            click.echo(json.dumps(_summary(summary)))
        if report:
            _write_report(summary, run, report)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(
            Exit.SOFTWARE,
            f"{error.filename or 'an output'}: cannot be written ({error.strerror}); no file was replaced by half",
        )
    if report and open_report and has_screen():
        webbrowser.open(report.resolve().as_uri())
    if (fail_on_breaks and summary.broken) or (fail_on_rejects and summary.rejected):
        raise click.exceptions.Exit(Exit.BREAKS)


def _form(out: Path | None, *, as_json: bool) -> Format:
    if out is None:
        return Format.JSON if as_json else Format.CSV
    try:
        return Format(out.suffix.lower())
    except ValueError:
        raise click.BadParameter(f"{out}: write a name that ends in {', '.join(Format)}", param_hint="--out") from None


def _require_writable(outputs: list[Path], inputs: list[Path]) -> None:
    """Refuse before the work what would fail after it, or would overwrite what it reads."""
    taken: dict[str, str] = {}
    for path in inputs:
        if os.path.realpath(path) in taken:
            raise click.UsageError(f"{path} is named twice: each input has a file of its own")
        taken[os.path.realpath(path)] = f"{path} is an input"
    for path in outputs:
        real = Path(os.path.realpath(path))
        if str(real) in taken:
            raise click.UsageError(f"{taken[str(real)]}: write {path} somewhere else")
        taken[str(real)] = f"{path} is named for two outputs"
        if not os.access(real.parent, os.W_OK) or (os.path.lexists(real) and not real.is_file()):
            raise click.UsageError(f"{path} cannot be written: name a file in a directory that exists and is yours")


def _tell(summary: Summary, run: Run) -> None:
    for place, (file, name) in enumerate(zip(run.inputs, names_of(run.inputs), strict=True)):
        if not summary.lines[place]:
            say(f"{name} has no rows")
        if file.unread:
            say(f"{name}: not read: {printable(', '.join(file.unread))}")
    states = ", ".join(f"{count:,} {state.lower()}" for state, count in _most_first(summary.states))
    say(f"{summary.trades:,} trade{'s' * (summary.trades != 1)}" + (f": {states}" if states else ""))
    for reason, count in _most_first(summary.reasons):
        say(f"  {count:>9,} {reason}")
    if rejected := summary.rejected.total():
        say(f"{rejected:,} row{'s' * (rejected != 1)} rejected, see {run.rejects}")
    if run.out:
        say(f"results in {run.out}")


def _summary(summary: Summary) -> dict[str, object]:
    return {
        "trades": summary.trades,
        "breaks": summary.broken,
        "rejected": summary.rejected.total(),
        "states": dict(_most_first(summary.states)),
        "reasons": dict(_most_first(summary.reasons)),
        "hints": dict(_most_first(summary.hints)),
        "rejects": dict(_most_first(summary.rejected)),
        "rows": dict(_most_first(summary.rows)),
        "duplicates": dict(_most_first(summary.duplicates)),
    }


def _most_first(counts: Counter[Code]) -> list[tuple[Code, int]]:
    """Counts in an order of their own: the order of the files has no part in what is said."""
    return sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))


def _write_report(summary: Summary, run: Run, path: Path) -> None:
    from traderecon.batch.report import Heading, InputFile, render

    files = []
    for place, (source, name) in enumerate(zip(run.inputs, names_of(run.inputs), strict=True)):
        with source.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(InputFile(source.source, name, summary.lines[place], sha256))
    heading = Heading(
        title="Trade reconciliation",
        generated_at_ns=clock.now_ns(),
        version=__version__,
        inputs=tuple(files),
        output=run.out.name if run.out else None,
        rejects=run.rejects.name if run.keep_empty or summary.rejects else None,
    )
    with whole(path) as temporary:
        temporary.write_text(render(summary, heading, run.rules), encoding="utf-8")
    say(f"report in {path}")
