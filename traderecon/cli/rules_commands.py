"""``traderecon rules``: what a rules file says, and whether it is one."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec

from traderecon.cli.console import counted, fail, printable, say
from traderecon.cli.rules import effective_rules, effective_settings, read_file, rules_of_file
from traderecon.cli.rules_trial import try_rules
from traderecon.exit_codes import Exit
from traderecon.records.business_time import Calendar
from traderecon.records.digest import sha256 as digest
from traderecon.records.numbers import EXACT, plain
from traderecon.rules import Rules
from traderecon.rules.calendars import Day
from traderecon.rules.content import content
from traderecon.rules.file import RulesError
from traderecon.rules.rules import TRADE_ID
from traderecon.rules.severity import SeverityRow
from traderecon.sourcebook import parse_file

_HEX = re.compile(r"[0-9a-f]{8,64}")
_TICKERS_SHOWN = 20
_FILE = click.Path(path_type=Path)


@click.group()
def rules() -> None:
    """Show the rules in force, check a rules file, try it on the trades of the database."""


rules.add_command(try_rules)


@rules.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(file: Path, *, as_json: bool) -> None:
    """List every error of a rules file, the tables of its sources included.

    Each has its line and column. Exit code 3 if there is one.
    """
    text = read_file(file)
    try:
        stamp = parse_file(text)[0].stamp()
    except RulesError as error:
        if as_json:
            problems = [
                {"line": problem.position.line, "column": problem.position.column, "text": problem.text}
                for problem in error.problems
            ]
            click.echo(json.dumps({"file": str(file), "valid": False, "problems": problems}))
        for line in error.lines(str(file)):
            say(printable(line))
        fail(Exit.INPUT, f"{file}: {counted(len(error.problems), 'error')}: correct each line above")
    if as_json:
        click.echo(json.dumps({"file": str(file), "valid": True, "name": stamp.name, "sha256": stamp.sha256}))
    else:
        click.echo(f"{file}: valid. Rules {printable(stamp.name)!r}, sha256 {stamp.sha256}")


@rules.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--sha256", metavar="HASH", help="The rules of a result in the database, by the first digits.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(file: Path | None, *, sha256: str | None, as_json: bool) -> None:
    """Print the rules in plain words.

    Those of FILE, or without it those in force, with the grace period of the settings. With --sha256 those that were in
    force when a result was published: the database has the text of all rules that judged a trade.
    """
    since: list[dict[str, Any]] = []
    if sha256 is not None:
        if file is not None:
            raise click.UsageError("FILE and --sha256 exclude each other.")
        shown, since = _on_record(sha256)
        origin = "the database"
    elif file is None:
        shown, source = effective_rules()
        origin = "built in" if source is None else str(source)
    else:
        shown, origin = rules_of_file(file)[0], str(file)
    description = {**describe(shown, origin), **({"in_force": since} if since else {})}
    if as_json:
        click.echo(json.dumps(description, ensure_ascii=False))
    else:
        click.echo(printable_text(description))


def describe(shown: Rules, origin: str) -> dict[str, Any]:
    """The rules in words and as content; ``content`` is what the sha256 covers, rule by rule."""
    # Slow to import, and only needed here.
    from traderecon.batch.report.terms import disabled_checks, terms

    stamp = shown.stamp()
    return {
        "name": stamp.name,
        "sha256": stamp.sha256,
        "source": origin,
        "grace_seconds": _seconds(shown.grace_ns),
        "source_graces": {it.source.value: _seconds(it.grace_ns) for it in shown.source_graces or ()},
        "asset_classes": {it.name: list(it.tickers) for it in shown.asset_classes or ()},
        "source_schedules": {it.source.value: _hours_of(it.calendar) for it in shown.source_schedules or ()},
        "pnl_required": shown.pnl_required,
        "group_by": shown.group_by or None,
        "match_key": [*(shown.match_key or ()), TRADE_ID],
        "calendar": _calendar_of(shown),
        "conflicting_legs": "the last one counts" if shown.last_wins else "a break",
        "checks": [
            {"name": term.name, "requires": term.requires, "allowed": term.allowed, "reason": term.reason}
            for term in terms(shown)
        ],
        "off": disabled_checks(shown),
        "severity": [f"{row.severity:<8}  {_breaks_of(row)}" for row in shown.severity],
        "content": content(shown),
    }


def printable_text(description: dict[str, Any]) -> str:
    """The description for a terminal."""
    waits = "and for its pnl snapshot" if description["pnl_required"] else "and never for a pnl snapshot"
    lines = [
        f"rules   {description['name']}",
        f"sha256  {description['sha256']}",
        f"source  {description['source']}",
        f"grace   {description['grace_seconds']} s: how long a trade waits for its other side, {waits}",
        *(f"        {grace} s for {source}" for source, grace in description["source_graces"].items()),
        *(f"speaks  {source}: {hours}" for source, hours in description["source_schedules"].items()),
        *(f"class   {name}: {_some(tickers)}" for name, tickers in description["asset_classes"].items()),
        f"legs    that contradict each other: {description['conflicting_legs']}",
        *([f"groups  by {description['group_by']}: its records are added up"] if description["group_by"] else []),
        *([f"key     {', '.join(description['match_key'])}"] if len(description["match_key"]) > 1 else []),
        *([f"hours   {description['calendar']}"] if description["calendar"] else []),
        "",
        "Differences that agree, by check:",
    ]
    width = max(len(check["name"]) for check in description["checks"])
    for check in description["checks"]:
        lines.append(f"  {check['name']:<{width}}  {check['allowed']}")
        lines.append(f"  {'':<{width}}  {check['requires']} Otherwise {check['reason']}.")
    if description["off"]:
        lines += ["", f"Off: {', '.join(description['off'])}"]
    if places := description.get("in_force"):
        lines += ["", "In force, by partition of the journal, from an offset on:"]
        lines += [f"  {place['partition']}  from {place['offset']}, recorded {place['at']}" for place in places]
    if description["severity"]:
        lines += ["", "Severity, by the first row that fits, else by the reason:"]
        lines += [f"  {row}" for row in description["severity"]]
    return "\n".join(printable(line) for line in lines)


def _calendar_of(shown: Rules) -> str | None:
    """The business time in which breaks age, in words."""
    if not shown.calendar:
        return None
    cut_off = shown.calendar.cut_off
    by = "" if cut_off is msgspec.UNSET else f"; cut-off {_time_of(cut_off)}"
    return f"breaks age from {_hours_of(shown.calendar)}{by}"


def _hours_of(calendar: Calendar) -> str:
    opens, closes = map(_time_of, (calendar.opens, calendar.closes))
    days = ", ".join(day for number, day in enumerate(Day, 1) if number in calendar.days)
    closed = f", closed on {len(calendar.holidays):,} holidays" if calendar.holidays else ""
    return f"{opens} to {closes} in {calendar.zone}, {days}{closed}"


def _some(names: list[str]) -> str:
    more = len(names) - _TICKERS_SHOWN
    return ", ".join(names[:_TICKERS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _time_of(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _breaks_of(row: SeverityRow) -> str:
    """The breaks that a row of severities is about, in words."""
    words = ["every break" if row.reason is None else row.reason.value]
    bounds = [
        *([] if row.stake_at_least is None else [f"from {plain(row.stake_at_least)} {row.currency}"]),
        *([] if row.stake_below is None else [f"up to below {plain(row.stake_below)} {row.currency}"]),
    ]
    if bounds:
        words.append(f"at stake {' '.join(bounds)}")
    elif row.currency is not None:
        words.append(f"in {row.currency}")
    if row.open_hours is not None:
        words.append(f"open {row.open_hours} h")
    if row.past_cut_off:
        words.append("open at the cut-off")
    return ", ".join(words)


def _on_record(prefix: str) -> tuple[Rules, list[dict[str, Any]]]:
    """The rules in the database whose sha256 begins like this, and from where on they were in force."""
    if not _HEX.fullmatch(prefix):
        raise click.UsageError(f"--sha256 is {prefix!r}: give at least 8 hexadecimal digits, as in a result.")
    # Slow to import, and only needed here.
    from traderecon.cli.local_database import readable_database
    from traderecon.sink.rules_queries import recorded_rules

    with readable_database(effective_settings()) as queries:
        found = recorded_rules(queries.engine, prefix)
    if len(found) != 1:
        listed = ", ".join(rules.sha256 for rules in found) or "none"
        fail(Exit.INPUT, f"rules on record whose sha256 begins with {prefix}: {listed}. Give that of one result.")
    (recorded,) = found
    if recorded.rules is None:
        text = "were recorded by a version that wrote no text of them: look for their file in your own archive"
        fail(Exit.INPUT, f"the rules {recorded.sha256} {text}")
    if digest(msgspec.json.encode(recorded.rules, order="sorted")) != recorded.sha256:
        fail(Exit.BREAKS, f"the rules on record as {recorded.sha256} have another sha256: the database was changed")
    since = [{"partition": partition, "offset": offset, "at": at} for partition, offset, at in recorded.since]
    return msgspec.convert(recorded.rules, Rules), since


def _seconds(duration_ns: int) -> str:
    return plain(EXACT.scaleb(Decimal(duration_ns), -9))
