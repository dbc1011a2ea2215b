"""``traderecon reconcile``: reconcile CSV files, without a broker.

Request: files and options as given  ->  checked paths -> Run -> Summary  ->  report, JSON, exit code
"""

import hashlib
import json
import os
import webbrowser
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from traderecon import __version__, clock
from traderecon.addresses import sqlite_url
from traderecon.batch.inputs import Input, InputError, names_of
from traderecon.batch.outputs import Format, replace_when_done
from traderecon.batch.reconcile import Advance, Run
from traderecon.batch.reconcile import reconcile as run_batch
from traderecon.batch.reconciled import StoredFacts
from traderecon.batch.summary import ORPHANS_SHOWN, Summary
from traderecon.cli.console import counted, fail, printable, progress, say
from traderecon.cli.files import NamedFile, expand
from traderecon.cli.rules import effective_rules, effective_settings, effective_sources
from traderecon.exit_codes import Exit
from traderecon.matching.totals import Totals
from traderecon.records import Source
from traderecon.records.numbers import plain
from traderecon.records.words import Word
from traderecon.settings import has_display

Code = TypeVar("Code", bound=Word)
Answer = TypeVar("Answer")

_FILE = click.Path(path_type=Path)
_FALLBACK_REJECTS = Path("traderecon.rejects.csv")
_LONG_BYTES = 10_000_000


@click.command()
@click.option(
    "--executions",
    required=True,
    multiple=True,
    help="CSV: trade_id,ticker,quantity,price,timestamp. May be repeated, or a pattern (`day-*.csv`); - is stdin.",
)
@click.option("--confirmations", required=True, multiple=True, help="CSV with the same columns.")
@click.option("--pnl", multiple=True, help="CSV: trade_id,pnl_impact,commission")
@click.option(
    "--out", type=_FILE, help=".csv, .json or .parquet, replacing an existing file; - (default) is CSV on stdout."
)
@click.option(
    "--rejects",
    type=_FILE,
    help="Rejected rows with their reasons, replacing an existing file. Default: .rejects.csv next to --out.",
)
@click.option("--report", type=_FILE, help="Write a report for people (.html), replacing an existing file.")
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
@click.option("--fail-on-breaks", is_flag=True, help="Exit 1 if there are breaks; rejected rows do not count.")
@click.option("--fail-on-rejects", is_flag=True, help="Exit 1 if a row was rejected.")
@click.option("--fail-on-empty", is_flag=True, help="Exit 1 if there is no trade: none was judged and none skipped.")
@click.option(
    "--against",
    metavar="DATABASE",
    help="Skip trades that this database holds as matched; a file, or sqlite:///path. Without it, trades whose rows "
    "are marked in a column `reconciled`.",
)
@click.option(
    "--processors",
    "count",
    type=click.IntRange(1),
    help="Number of processes. Default: chosen by the size of the input.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout: the results, or the summary with --out FILE.")
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
    fail_on_empty: bool,
    against: str | None,
    count: int | None,
    as_json: bool,
) -> None:
    """Reconcile CSV files: one verdict per trade, as if every grace period had expired.

    Rows are sorted by trade_id. Rows that cannot be read are rejected with a reason; all others are reconciled.
    """
    out = None if out is None or str(out) == "-" else out
    form = _form(out, as_json=as_json)
    _check_report(report, open_report=open_report)
    files = _input_files({Source.EXECUTIONS: executions, Source.CONFIRMATIONS: confirmations, Source.PNL: pnl})
    outputs = _Outputs(out, form, rejects, report)
    run = _prepare(files, outputs, count, against)
    summary = _reconcile(run, report, as_json=as_json)
    if report and open_report and has_display():
        webbrowser.open(report.resolve().as_uri())
    empty = not summary.trades and not summary.skipped
    failed = (fail_on_breaks and summary.break_count, fail_on_rejects and summary.rejected, fail_on_empty and empty)
    if any(failed):
        raise click.exceptions.Exit(Exit.BREAKS)


class _Outputs(NamedTuple):
    """The files to write: results (None: stdout), rejects (None: the default file) and report (None: no report)."""

    results: Path | None
    form: Format
    rejects: Path | None
    report: Path | None

    @property
    def rejects_file(self) -> Path:
        """The rejects file: the given one, next to the results, or in the working directory."""
        return self.rejects or (self.results.with_suffix(".rejects.csv") if self.results else _FALLBACK_REJECTS)

    @property
    def paths(self) -> list[Path]:
        """Every file that may be written."""
        return [path for path in (self.results, self.rejects_file, self.report) if path]


def _check_report(report: Path | None, *, open_report: bool) -> None:
    if report and report.suffix.lower() not in {".html", ".htm"}:
        raise click.BadParameter(f"{report}: write a name that ends in .html", param_hint="--report")
    if open_report and report is None:
        raise click.UsageError("--open needs --report FILE.html")


def _input_files(patterns: Mapping[Source, tuple[str, ...]]) -> list[tuple[Source, NamedFile]]:
    return [(source, file) for source, names in patterns.items() for file in expand(names)]


def _prepare(
    files: list[tuple[Source, NamedFile]], outputs: _Outputs, processors: int | None, against: str | None
) -> Run:
    """Check rules, paths and inputs; an invalid one ends the command."""
    rules, rules_file = effective_rules()
    sources = effective_sources(effective_settings())
    _require_writable(outputs.paths, [path for path in (*(file.path for _, file in files), rules_file) if path])
    try:
        inputs = [Input.open(source, *file, sources[source]) for source, file in files]
    except InputError as error:
        fail(Exit.INPUT, str(error))
    return Run(
        inputs=inputs,
        rules=rules,
        out=outputs.results,
        form=outputs.form,
        rejects=outputs.rejects_file,
        keep_empty=bool(outputs.rejects or outputs.results),
        processors=processors,
        stored=_stored_matches(against) if against else None,
    )


def _stored_matches(against: str) -> StoredFacts:
    """The matches of a database given as a path or URL; one that cannot be read ends the command."""
    from traderecon.sink.database import file_path
    from traderecon.sink.stored_matches import StoredMatches

    url = against if "://" in against else sqlite_url(Path(against))
    path = _read_database(against, lambda: file_path(url))
    if not path.is_file():
        fail(Exit.INPUT, f"{against}: there is no such file: give the database of a worker (traderecon.db)")
    matches = StoredMatches(url)
    _read_database(against, matches.require_readable)
    return matches


def _read_database(against: str, call: Callable[[], Answer]) -> Answer:
    from traderecon.sink.database import StoreError
    from traderecon.sink.queries import UNREADABLE

    try:
        return call()
    except StoreError as error:
        fail(Exit.UNREACHABLE, f"{against}: {error}")
    except UNREADABLE as error:
        fail(Exit.UNREACHABLE, f"{against}: the database cannot be read ({error})")


def _reconcile(run: Run, report: Path | None, *, as_json: bool) -> Summary:
    """Run the batch and write its outputs; a file that cannot be written ends the command."""
    try:
        with progress(run.bytes_to_do, "reconciling", long=_LONG_BYTES) as advance:
            summary = _run(run, advance)
        _print_summary(summary, run)
        if as_json and run.out:
            click.echo(json.dumps(_to_json(summary)))
        if report:
            _write_report(summary, run, report)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(
            Exit.SOFTWARE,
            f"{error.filename or 'an output'}: cannot be written ({error.strerror}). Each output is either the old "
            "file or a complete new one; run the command again",
        )
    return summary


def _run(run: Run, advance: Advance) -> Summary:
    """The batch; a database that cannot be read ends the command."""
    if run.stored is None:
        return run_batch(run, advance)
    return _read_database("--against", lambda: run_batch(run, advance))


def _form(out: Path | None, *, as_json: bool) -> Format:
    if out is None:
        return Format.JSON if as_json else Format.CSV
    try:
        return Format(out.suffix.lower())
    except ValueError:
        raise click.BadParameter(f"{out}: write a name that ends in {', '.join(Format)}", param_hint="--out") from None


def _require_writable(outputs: list[Path], inputs: list[Path]) -> None:
    """Reject, before the work, paths that would fail after it or overwrite an input."""
    conflicts: dict[str, str] = {}
    for path in inputs:
        if os.path.realpath(path) in conflicts:
            raise click.UsageError(f"{path} is given twice: each input needs its own file")
        conflicts[os.path.realpath(path)] = f"{path} is an input"
    for path in outputs:
        real = Path(os.path.realpath(path))
        if str(real) in conflicts:
            raise click.UsageError(f"{conflicts[str(real)]}: write {path} somewhere else")
        conflicts[str(real)] = f"{path} is given for two outputs"
        if not os.access(real.parent, os.W_OK) or (os.path.lexists(real) and not real.is_file()):
            raise click.UsageError(f"{path} cannot be written: choose a file in a directory that this user can write")


def _print_summary(summary: Summary, run: Run) -> None:
    for index, (file, name) in enumerate(zip(run.inputs, names_of(run.inputs), strict=True)):
        if not summary.lines[index]:
            say(f"{name} has no rows")
        if file.unknown_columns:
            say(f"{name}: ignored columns: {printable(', '.join(file.unknown_columns))}")
    states = ", ".join(f"{count:,} {state.lower()}" for state, count in _most_frequent_first(summary.states))
    say(counted(summary.trades, "trade") + (f": {states}" if states else ""))
    for reason, count in _most_frequent_first(summary.reasons):
        say(f"  {count:>9,} {reason}")
    if skipped := summary.skipped.total():
        say(f"{counted(skipped, 'row')} skipped: their trades were reconciled before")
    for text in summary.drifting():
        say(text)
    if rejected := summary.rejected.total():
        say(f"{counted(rejected, 'row')} rejected, see {run.rejects}")
    if run.out:
        say(f"results in {run.out}")


def _to_json(summary: Summary) -> dict[str, object]:
    return {
        "trades": summary.trades,
        "breaks": summary.break_count,
        "rejected": summary.rejected.total(),
        "states": dict(_most_frequent_first(summary.states)),
        "reasons": dict(_most_frequent_first(summary.reasons)),
        "hints": dict(_most_frequent_first(summary.hints)),
        "rejects": dict(_most_frequent_first(summary.rejected)),
        "rows": dict(_most_frequent_first(summary.rows)),
        "skipped": dict(_most_frequent_first(summary.skipped)),
        "duplicates": dict(_most_frequent_first(summary.duplicates)),
        "totals": [
            {"broker": account.broker or None, "currency": account.currency or None, **_amounts(totals)}
            for account, totals in sorted(summary.totals.items())
        ],
        "orphan_pnl": {"trades": summary.pnl_alone, "first": sorted(summary.orphans)[:ORPHANS_SHOWN]},
        "clock_suspects": summary.drifting(),
    }


def _amounts(totals: Totals) -> dict[str, str | int]:
    members = {name: getattr(totals, name) for name in totals.__struct_fields__}
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in members.items()}


def _most_frequent_first(counts: Counter[Code]) -> list[tuple[Code, int]]:
    """Most frequent first, ties by name: the output does not depend on the order of the files."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _write_report(summary: Summary, run: Run, path: Path) -> None:
    from traderecon.batch.report import Heading, InputFile, render

    files = []
    for index, (source, name) in enumerate(zip(run.inputs, names_of(run.inputs), strict=True)):
        with source.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(InputFile(source.source, name, summary.lines[index], sha256))
    heading = Heading(
        title="Trade reconciliation",
        generated_at_ns=clock.now_ns(),
        version=__version__,
        inputs=tuple(files),
        output=run.out.name if run.out else None,
        rejects=run.rejects.name if run.keep_empty or summary.rejects else None,
    )
    with replace_when_done(path) as temporary:
        temporary.write_text(render(summary, heading, run.rules), encoding="utf-8")
    say(f"report in {path}")
