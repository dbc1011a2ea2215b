"""Torture from the command line.

    python -m torture --seed 44 --cycles 60 --broker-kills 4           one run of the counting app
    python -m torture --workload pipeline --cycles 25 --records 8000   one of the whole pipeline
    python -m torture sum report*.json                                 several runs in one line

Exit codes: 0 safe, live, and every fault fired; 1 not; 2 usage. stdout has the line, stderr what happens.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torture.plan import KINDS, Plan, make_plan, read_plan
from torture.report import Report, add_up
from torture.run import run
from torture.seen import NotSeen
from torture.stage import WORKLOADS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a plan, or add up reports; 0 success, 1 failure, 2 usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["sum"]:
        return summed(given[1:])
    options = parsed(given)
    try:
        plan = planned(options)
    except (OSError, ValueError, KeyError, TypeError) as why:
        say(f"torture: no plan: {why}")
        return 2
    directory = options.directory or Path(tempfile.mkdtemp(prefix="torture-"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(plan.to_json())
    say(
        f"seed {plan.seed} | plan {plan.digest} | {len(plan.faults)} faults | {len(plan.records)} records | {directory}"
    )
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that the broker is down is known
    report = None
    try:
        report = asyncio.run(run(plan, options.bug, directory, say))
    except* NotSeen as why:
        say(f"torture: {'; '.join(map(str, why.exceptions))}; everything is in {directory}")
    if report is None:
        return 1
    for path in filter(None, (options.json, directory / "report.json")):
        path.write_text(report.to_json())
    sys.stdout.write(f"{report.line}\n")
    if not report.ok:
        say(f"everything is in {directory}")
        return 1
    if options.directory is None:
        shutil.rmtree(directory)
    return 0


def planned(options: argparse.Namespace) -> Plan:
    """The plan in the file, or a new one, kept there if a file was named. Raises what ``read_plan`` does."""
    if options.plan and options.plan.exists():
        return read_plan(options.plan)
    workload = WORKLOADS[options.workload]
    plan = make_plan(
        options.seed,
        options.workload,
        workload.feed(options.seed, options.records),
        workload.ways,
        cycles=options.cycles,
        broker_kills=options.broker_kills,
        workers=options.workers,
        kinds=options.faults.split(","),
    )
    if options.plan:
        options.plan.write_text(plan.to_json())
    return plan


def parsed(given: Sequence[str]) -> argparse.Namespace:
    """The options of a run."""
    parser = argparse.ArgumentParser(
        prog="torture", description="Break a workload on a real Kafka by plan, and judge it."
    )
    parser.add_argument("--seed", type=int, default=1, help="decides the plan")
    parser.add_argument("--cycles", type=int, default=60, help="faults, broker kills included; about ten a minute")
    parser.add_argument("--broker-kills", type=int, default=4, help="how many of them kill the broker")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--faults", default=",".join(KINDS), help="the kinds to draw from (default: all)")
    parser.add_argument("--plan", type=Path, help="a plan to run again; where there is none it is written")
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--directory", type=Path, help="an empty one for broker, disks and logs; kept")
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="ours", help="what to break")
    parser.add_argument("--bug", default="", help="a fault to build into the workload: is it found?")
    return parser.parse_args(given)


def summed(paths: Sequence[str]) -> int:
    """Print several reports as one line."""
    try:
        line, ok = add_up([Report.from_json(Path(path).read_text()) for path in paths])
    except (OSError, ValueError, TypeError) as why:
        say(f"torture: {why}")
        return 2
    sys.stdout.write(f"{line}\n")
    return 0 if ok else 1


def say(text: str) -> None:
    """Tell the person who watches."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
