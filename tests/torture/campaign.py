"""A campaign: several runs with rising seeds, each report stored, until the goal is reached.

    options, play(plan) -> Report  ->  reports, one per run, in a directory

The report of a failed run is stored as well, and the next run starts; after FAILURES failed runs the campaign ends.
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
"""The fault seeds of a pair are the feed's seed times this, plus one and plus two."""

Draw = Callable[..., Plan]
Play = Callable[[Plan], Report | None]


def reports_in(directory: Path) -> list[Report]:
    """Every report of a directory, in the order of their names. Raises OSError, ValueError or TypeError."""
    return [Report.from_json(path.read_text()) for path in sorted(directory.glob("*.json"))]


def run_several(options: Any, draw: Draw, play: Play, say: Callable[[str], None]) -> list[Report]:
    """Run until the goal is reached; returns every report, earlier ones included.

    ``draw(seed, fault_seed, counts)`` makes a plan. Raises ValueError if there are reports and no ``--resume``.
    """
    directory: Path = options.reports
    directory.mkdir(parents=True, exist_ok=True)
    reports = reports_in(directory)
    if reports and not options.resume:
        raise ValueError(f"{directory} has {len(reports)} reports: --resume adds to them, or name another directory")
    runs = _pairs(options, reports, draw) if options.pairs else _seeds(options, reports, draw)
    failures = 0
    for plan in runs:
        report = play(plan)
        if report is None:
            say(f"seed {plan.seed} came to no report, and the campaign ends")
            break
        reports.append(report)
        name = f"{plan.workload}-{plan.seed:06d}-{plan.fault_seed:09d}.json"
        (directory / name).write_text(report.to_json())
        say(report.line)
        failures += not report.ok
        if failures == FAILURES:
            say(f"{FAILURES} runs failed, and the campaign ends")
            break
    return reports


def missing(wanted: Counter[str], reports: Sequence[Report]) -> Counter[str]:
    """The wanted faults that have not fired yet."""
    fired = Counter(kind for report in reports for kind in report.kinds.elements())
    return +Counter({kind: number - fired[kind] for kind, number in wanted.items()})


def _seeds(options: Any, reports: list[Report], draw: Draw) -> Any:
    first = max([options.seed, *(report.seed + 1 for report in reports)])
    for seed in count(first):
        if options.minutes and sum(report.took_s for report in reports) >= options.minutes * 60:
            return
        counts = None
        if options.until:
            if not (remaining := missing(options.until, reports)):
                return
            counts = share_of(remaining, options.cycles)
        yield draw(seed, seed, counts)
        if not options.minutes and not options.until:
            return


def _pairs(options: Any, reports: list[Report], draw: Draw) -> Any:
    finished_plans = {report.plan for report in reports}
    for seed in range(options.seed, options.seed + options.pairs):
        for schedule in (1, 2):
            plan = draw(seed, seed * SCHEDULES + schedule, None)
            if plan.digest not in finished_plans:
                yield plan
