"""The options of the command, and which kinds of faults the machine supports.

    words -> Namespace;  kinds asked for -> kinds, or why not

Imports nothing slow: ``--help`` is quick.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torture.plan import BROKERS, KINDS, ON_BROKERS, kinds_with
from torture.reported_clock import JumpingClock
from torture.tight_disk import TightDisk

WORKLOADS = ("ours", "pipeline", "stock")
ALL = (*KINDS, *ON_BROKERS)
UNAVAILABLE_REASON = {"disk": TightDisk.missing, "clock": JumpingClock.missing}
RECORDS_A_TRADE = 2.5
EPILOG = """
several runs: with --minutes, --until or --pairs the seeds count on from --seed, every report is kept in --reports, and
the sum is the last line. `torture sum DIR` adds up again. exit codes: 0 safe, live, and every fault fired; 1 not;
2 usage. stdout has the line, stderr what happens.
"""


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options of one run or several."""
    parser = argparse.ArgumentParser(
        prog="torture", description="Break a workload on a real Kafka by plan, and judge it.", epilog=EPILOG
    )
    parser.add_argument("--seed", type=int, default=1, help="decides what is fed, and the schedule of the faults")
    parser.add_argument("--fault-seed", type=int, help="decides the schedule alone: the same records, other faults")
    parser.add_argument("--workload", choices=WORKLOADS, default="ours", help="what to break")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--brokers", type=int, choices=BROKERS, default=1, help="three: RF 3, two in sync (workload pipeline)"
    )
    feed_size = parser.add_mutually_exclusive_group()
    feed_size.add_argument("--records", type=int, help="how many are fed in a run (default: 20000)")
    feed_size.add_argument("--trades", type=int, help="about so many trades in a run, instead of --records")
    parser.add_argument("--cycles", type=int, default=60, help="faults of a run, at most; about ten a minute")
    parser.add_argument("--broker-kills", type=int, help="how many of them kill the broker (default: one in fifteen)")
    parser.add_argument("--faults", help=f"the kinds to draw from, of {','.join(ALL)} (default: all that fit)")
    parser.add_argument("--minutes", type=float, help="go on with the next seed for so long")
    parser.add_argument(
        "--until", type=_counts, metavar="KIND=N,...", help="go on until so many of each kind have fired"
    )
    parser.add_argument("--pairs", type=int, default=0, help="so many feeds under two schedules each: one digest?")
    parser.add_argument("--reports", type=Path, help="a directory that keeps the reports of several runs")
    parser.add_argument("--resume", action="store_true", help="count what --reports has, and go on from there")
    parser.add_argument("--plan", type=Path, help="a plan to run again; where there is none it is written")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the report goes, or the sum")
    parser.add_argument("--directory", type=Path, help="for broker, disks and logs; kept. Else only where a run fails")
    parser.add_argument("--bug", default="", help="a fault to build into the workload: is it found?")
    options = parser.parse_args(arguments)
    options.several = bool(options.minutes or options.until or options.pairs or options.resume)
    if options.several and options.plan:
        parser.error("--plan is one run: without --minutes, --until, --pairs and --resume")
    if options.several and options.reports is None:
        parser.error("several runs need --reports DIR, where their reports are kept")
    if options.fault_seed is not None and options.several:
        parser.error("--fault-seed is for one run: several draw their own")
    if options.records is None:
        options.records = 20_000 if options.trades is None else int(options.trades * RECORDS_A_TRADE)
    return options


def kinds_of(faults: str | None, without: Sequence[str], brokers: int = 1) -> Sequence[str]:
    """The kinds asked for, or all that the workload and the machine support. Raises ValueError for others."""
    unavailable = {kind: reason for kind, reason_of in UNAVAILABLE_REASON.items() if (reason := reason_of())}
    if faults is None:
        return [kind for kind in kinds_with(brokers) if kind not in unavailable and kind not in without]
    kinds = faults.split(",")
    if reasons := [reason for kind, reason in unavailable.items() if kind in kinds]:
        raise ValueError("; ".join(reasons))
    return kinds


def _counts(text: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word in text.split(","):
        kind, _, number = word.partition("=")
        if kind not in ALL or not number.isdigit():
            raise argparse.ArgumentTypeError(f"{word!r}: write KIND=N, a kind of {', '.join(ALL)}")
        counts[kind] = int(number)
    return counts
