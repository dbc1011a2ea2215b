"""``traderecon rules try``: what other rules would do to the trades in the database. Nothing is changed."""

import json
from collections import Counter
from decimal import Decimal
from heapq import nsmallest
from pathlib import Path
from typing import Any

import click
import msgspec

from traderecon.cli.console import counted, printable, progress, say
from traderecon.cli.rules import effective_settings, rules_of_file
from traderecon.matching.trial import Effect, Trial, trial_of
from traderecon.records.numbers import ZERO, plain
from traderecon.records.result_message import decode_published
from traderecon.rules import Rules
from traderecon.sourcebook import differences

_LISTED = (Effect.OPENED, Effect.CLOSED, Effect.CHANGED)


@click.command("try")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--show", default=20, metavar="N", type=click.IntRange(min=0), help="Trades to list of each kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def try_rules(file: Path, show: int, *, as_json: bool) -> None:
    """Say what the rules in FILE would change.

    Judges every decided trade of the database by them. Nothing is changed: no result is published, no row is written,
    and a worker may run meanwhile. Records are judged as their sources' settings read them on arrival, with every grace
    period over. Trades that wait have no result yet and are not among them.
    """
    rules, sources = rules_of_file(file)
    counts: Counter[Effect] = Counter()
    unreadable = 0
    listed: dict[Effect, list[Trial]] = {effect: [] for effect in _LISTED}
    # Slow to import, and only needed here.
    from traderecon.cli.local_database import readable_database
    from traderecon.sink.newest_results import count, newest_results

    with readable_database(effective_settings()) as queries, progress(count(queries.engine), "judging") as advance:
        for result in newest_results(queries.engine):
            advance(1)
            try:
                trial = trial_of(decode_published(result), rules)
            except (ValueError, TypeError, ArithmeticError, msgspec.MsgspecError):
                unreadable += 1  # purged, or another program wrote it
                continue
            counts[trial.effect] += 1
            if trial.effect in listed:
                listed[trial.effect].append(trial)
                if len(listed[trial.effect]) >= 8 * (show + 1):
                    listed[trial.effect] = nsmallest(show, listed[trial.effect], key=_urgency)
    shown = {effect: nsmallest(show, trials, key=_urgency) for effect, trials in listed.items()}
    if differences(sources):
        say(f"{file}: its [sources] tables are not tried: records are judged as they were read when they arrived")
    if unreadable:
        say(f"{counted(unreadable, 'result')} cannot be read or were purged, and are not judged")
    if grouping := counts[Effect.OTHER_GROUPING]:
        say(
            f"{counted(grouping, 'trade')} are not judged: which records belong together was decided by group_by and "
            "match_key when they arrived, and these rules have others"
        )
    if as_json:
        click.echo(json.dumps(_as_json(rules, counts, unreadable, shown), ensure_ascii=False))
    else:
        for line in _lines(rules, counts, shown):
            click.echo(printable(line))


def _urgency(trial: Trial) -> tuple[int, bool, Decimal, str]:
    """Most urgent first; trades that would agree by their id."""
    return (*((0, False, ZERO) if trial.assessment is None else trial.assessment.urgency), trial.trade_id)


def _as_json(
    rules: Rules, counts: Counter[Effect], unreadable: int, shown: dict[Effect, list[Trial]]
) -> dict[str, Any]:
    stamp = rules.stamp()
    return {
        "rules": {"name": stamp.name, "sha256": stamp.sha256},
        "trades": counts.total(),
        **{str(effect): counts[effect] for effect in Effect},
        "unreadable": unreadable,
        "first": {
            str(effect): [
                {
                    "trade_id": trial.trade_id,
                    "reasons_before": list(trial.before),
                    "reasons": list(trial.after),
                    **_stake(trial),
                }
                for trial in trials
            ]
            for effect, trials in shown.items()
        },
    }


def _stake(trial: Trial) -> dict[str, Any]:
    if trial.assessment is None:
        return {"severity": None, "at_stake": None, "currency": None}
    stake = trial.assessment.stake
    return {
        "severity": trial.assessment.severity,
        "at_stake": None if stake.amount is None else plain(stake.amount),
        "currency": stake.currency,
    }


def _lines(rules: Rules, counts: Counter[Effect], shown: dict[Effect, list[Trial]]) -> list[str]:
    stamp = rules.stamp()
    lines = [
        f"rules   {stamp.name}",
        f"sha256  {stamp.sha256}",
        f"{counted(counts.total(), 'trade')}: {counts[Effect.OPENED]:,} would become breaks, "
        f"{counts[Effect.CLOSED]:,} would no longer be breaks, {counts[Effect.CHANGED]:,} would have other reasons, "
        f"{counts[Effect.UNCHANGED]:,} would keep their reasons",
    ]
    if counts[Effect.NOT_JUDGED]:
        lines.append(f"{counted(counts[Effect.NOT_JUDGED], 'late leg')} of closed trades: not judged again")
    titles = {
        Effect.OPENED: "Would become breaks",
        Effect.CLOSED: "Would no longer be breaks",
        Effect.CHANGED: "Would have other reasons",
    }
    for effect, trials in shown.items():
        if trials:
            more = counts[effect] - len(trials)
            lines += ["", f"{titles[effect]}{f' (the first {len(trials)})' if more else ''}:"]
            lines += [
                f"  {trial.trade_id}  {','.join(trial.before) or 'no reason'} -> {','.join(trial.after) or 'no reason'}"
                for trial in trials
            ]
    return lines
