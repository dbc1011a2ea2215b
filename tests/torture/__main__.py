"""Torture from the command line. ``traderecon torture`` is the same over the whole pipeline.

    python -m torture --seed 44 --cycles 60 --broker-kills 4           one run of the counting app
    python -m torture --workload pipeline --cycles 25 --records 8000   one of the whole pipeline
    python -m torture --workload pipeline --brokers 3 --cycles 14      on three brokers, of which one or two die
    python -m torture --minutes 40 --reports DIR --resume              several, and on with them another day
    python -m torture sum DIR [--json FILE]                            what they come to

Exit codes: 0 safe, live, and every fault fired; 1 not; 2 usage; 78 there is no Kafka to start.
stdout has the line, stderr what happens.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torture.options import kinds_of, parse_options

if TYPE_CHECKING:
    from torture.plan import Plan
    from torture.report import Report

REFUSED = 78


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a plan or several, or add up reports; 0 success, 1 failure, 2 usage, 78 without a Kafka."""
    arguments_given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments_given[:1] == ["sum"]:
        return sum_reports(arguments_given[1:])
    options = parse_options(arguments_given)
    from broker.kafka_server import JARS

    if not any(JARS.glob("kafka_*.jar")):
        say(f"torture: there is no Kafka in {JARS}: run `make kafka`")
        return REFUSED
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # broker outages are expected
    try:
        return run_campaign(options) if options.several else run_once(options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        say(f"torture: no plan: {error}")
        return 2


def run_once(options: argparse.Namespace) -> int:
    """Run one plan. Raises what ``plan_of`` does."""
    report = run_plan(plan_of(options), options, options.directory)
    if report is None:
        return 1
    if options.json:
        options.json.write_text(report.to_json())
    sys.stdout.write(f"{report.line}\n")
    return 0 if report.ok else 1


def run_campaign(options: argparse.Namespace) -> int:
    """Run plans until there are enough, and print their sum. Raises what ``plan_of`` does."""
    from torture.campaign import run_several

    def play(plan: "Plan") -> "Report | None":
        directory = options.directory and options.directory / f"{plan.seed}-{plan.fault_seed}"
        return run_plan(plan, options, directory)

    def draw(seed: int, fault_seed: int, counts: Any) -> "Plan":
        return draw_plan(options, seed, fault_seed, counts)

    reports = run_several(options, draw, play, say)
    return print_total(reports, options.json)


def print_total(reports: Sequence["Report"], path: Path | None) -> int:
    """Print several reports as one line, and write the sum. Raises ValueError if there are none."""
    from torture.report import Total

    total = Total(reports)
    if path:
        path.write_text(total.to_json())
    sys.stdout.write(f"{total.line}\n")
    return 0 if total.ok else 1


def run_plan(plan: "Plan", options: argparse.Namespace, directory_given: Path | None) -> "Report | None":
    """Run a plan; None if no worker started. Its directory is kept if it was given or if the run failed."""
    from torture.run import run
    from torture.tight_disk import use_private_mounts
    from torture.waiting import NotObserved

    if any(fault.kind == "disk" for fault in plan.faults):
        use_private_mounts()
    directory = directory_given or Path(tempfile.mkdtemp(prefix="torture-"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(plan.to_json())
    seeds = f"{plan.seed}" if plan.fault_seed in {-1, plan.seed} else f"{plan.seed}/{plan.fault_seed}"
    say(f"seed {seeds} | plan {plan.digest} | {len(plan.faults)} faults | {len(plan.records)} records | {directory}")
    report = None
    try:
        report = asyncio.run(run(plan, options.bug, directory, say))
    except* NotObserved as error:
        say(f"torture: {'; '.join(map(str, error.exceptions))}; everything is in {directory}")
    if report is None:
        return None
    (directory / "report.json").write_text(report.to_json())
    if not report.ok:
        for text in report.findings[:10]:
            say(text)
        say(f"everything is in {directory}")
    elif directory_given is None:
        shutil.rmtree(directory)
    return report


def plan_of(options: argparse.Namespace) -> "Plan":
    """The plan in the given file, or a new one, written to the file. Raises what ``read_plan`` does."""
    from torture.plan import read_plan

    if options.plan and options.plan.exists():
        return read_plan(options.plan)
    plan = draw_plan(options, options.seed, options.fault_seed, None)
    if options.plan:
        options.plan.write_text(plan.to_json())
    return plan


def draw_plan(options: argparse.Namespace, seed: int, fault_seed: int | None, counts: Any) -> "Plan":
    """Draw a new plan. Raises ValueError for an impossible one."""
    from torture.plan import make_plan
    from torture.stage import WORKLOADS

    workload = WORKLOADS[options.workload]
    kinds = kinds_of(",".join(counts) if counts else options.faults, workload.ways.without, options.brokers)
    bounces = options.broker_kills
    if bounces is None:
        bounces = -(-options.cycles // 15) if "bounce" in kinds else 0
    return make_plan(
        seed,
        options.workload,
        workload.feed(seed, options.records),
        workload.ways,
        cycles=options.cycles,
        broker_kills=bounces,
        workers=options.workers,
        kinds=kinds,
        counts=counts,
        fault_seed=fault_seed,
        brokers=options.brokers,
    )


def sum_reports(arguments: Sequence[str]) -> int:
    """The command ``sum``: print reports in files and directories as one line."""
    from torture.campaign import reports_in
    from torture.report import Report

    parser = argparse.ArgumentParser(prog="torture sum", description="Add up the reports of several runs.")
    parser.add_argument("places", nargs="*", type=Path, help="directories of reports, or reports")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the sum goes")
    options = parser.parse_args(arguments)
    try:
        reports = []
        for path in options.places:
            if not path.exists():
                say(f"torture: {path}: no such directory; name one with reports of `torture --reports`, or a report")
                return 2
            reports += reports_in(path) if path.is_dir() else [Report.from_json(path.read_text())]
        return print_total(reports, options.json)
    except (OSError, ValueError, TypeError) as error:
        say(f"torture: {error}")
        return 2


def say(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
