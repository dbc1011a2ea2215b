"""A campaign: several runs with rising seeds, each report kept, until there is enough of what was asked for.

    options, play(plan) -> Report  ->  reports, one per run, in a directory

A run that fails is kept like any other, and the next one begins; after FAILURES of them nobody waits for more.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from torture.plan import Plan, share_of
from torture.report import Report

FAILURES = 3
SCHEDULES = 1_000
"""The fault seeds of a pair are the feed's times this, and one and two more."""

Draw = Callable[..., Plan]
Play = Callable[[Plan], Report | None]


def reports_in(directory: Path) -> list[Report]:
    """Every report of a directory, in the order of their names. Raises OSError, ValueError or TypeError."""
    return [Report.from_json(path.read_text()) for path in sorted(directory.glob("*.json"))]


def run_several(options: Any, draw: Draw, play: Play, say: Callable[[str], None]) -> list[Report]:
    """Run until there is enough; every report, those that were there before included.

    ``draw(seed, fault_seed, counts)`` makes a plan. Raises ValueError where reports are in the way.
    """
    directory: Path = options.reports
    directory.mkdir(parents=True, exist_ok=True)
    there = reports_in(directory)
    if there and not options.resume:
        raise ValueError(f"{directory} has {len(there)} reports: --resume adds to them, or name another directory")
    runs = _pairs(options, there, draw) if options.pairs else _seeds(options, there, draw)
    failures = 0
    for plan in runs:
        report = play(plan)
        if report is None:
            say(f"seed {plan.seed} came to no report, and the campaign ends")
            break
        there.append(report)
        name = f"{plan.workload}-{plan.seed:06d}-{plan.fault_seed:09d}.json"
        (directory / name).write_text(report.to_json())
        say(report.line)
        failures += not report.ok
        if failures == FAILURES:
            say(f"{FAILURES} runs failed, and the campaign ends")
            break
    return there


def missing(until: Counter[str], reports: Sequence[Report]) -> Counter[str]:
    """What has not fired yet of what was asked for."""
    fired = Counter(kind for report in reports for kind in report.kinds.elements())
    return +Counter({kind: number - fired[kind] for kind, number in until.items()})


def _seeds(options: Any, there: list[Report], draw: Draw) -> Any:
    first = max([options.seed, *(report.seed + 1 for report in there)])
    for seed in count(first):
        if options.minutes and sum(report.took_s for report in there) >= options.minutes * 60:
            return
        counts = None
        if options.until:
            if not (left := missing(options.until, there)):
                return
            counts = share_of(left, options.cycles)
        yield draw(seed, seed, counts)
        if not options.minutes and not options.until:
            return


def _pairs(options: Any, there: list[Report], draw: Draw) -> Any:
    played = {report.plan for report in there}
    for seed in range(options.seed, options.seed + options.pairs):
        for schedule in (1, 2):
            plan = draw(seed, seed * SCHEDULES + schedule, None)
            if plan.digest not in played:
                yield plan
