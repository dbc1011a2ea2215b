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
With --minutes, --until or --pairs there are several runs: their seeds count up from --seed, their reports stay in
--reports, and the last line is their sum, which `torture sum DIR` prints again. Exit codes: 0 safe, live, and every
fault fired; 1 if not; 2 usage. The line of a run is on stdout, its progress on stderr.
"""


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options of one run or several."""
    parser = argparse.ArgumentParser(
        prog="torture", description="Run a workload on a real Kafka under planned faults, and judge it.", epilog=EPILOG
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="the seed of the records and of the schedule of faults (default: %(default)s)",
    )
    parser.add_argument(
        "--fault-seed", type=int, help="a seed of its own for the schedule: the same records, other faults"
    )
    parser.add_argument(
        "--workload", choices=WORKLOADS, default="ours", help="the workload to break (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2, help="the number of workers (default: %(default)s)")
    parser.add_argument(
        "--brokers",
        type=int,
        choices=BROKERS,
        default=1,
        help="the number of brokers; with 3, topics have three replicas, two in sync (workload pipeline)",
    )
    feed_size = parser.add_mutually_exclusive_group()
    feed_size.add_argument("--records", type=int, help="the number of records fed in a run (default: 20000)")
    feed_size.add_argument("--trades", type=int, help="feed about this many trades in a run, instead of --records")
    parser.add_argument(
        "--cycles",
        type=int,
        default=60,
        help="the maximum number of faults in a run, about ten a minute (default: %(default)s)",
    )
    parser.add_argument(
        "--broker-kills", type=int, help="the number of faults that kill the broker (default: one in fifteen)"
    )
    parser.add_argument("--faults", help=f"the kinds of faults, of {','.join(ALL)} (default: all that fit)")
    parser.add_argument(
        "--minutes", type=float, help="start runs with the next seeds until this many minutes have passed"
    )
    parser.add_argument(
        "--until", type=_counts, metavar="KIND=N,...", help="start runs until each kind has fired this many times"
    )
    parser.add_argument(
        "--pairs", type=int, default=0, help="run this many feeds under two schedules each, and compare the results"
    )
    parser.add_argument("--reports", type=Path, help="the directory for the reports of several runs")
    parser.add_argument(
        "--resume", action="store_true", help="count the runs that --reports has, and continue after them"
    )
    parser.add_argument("--plan", type=Path, help="the file of a plan to run again; it is written if it does not exist")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the report, or the sum of several, to this file"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        help="the directory for broker, disks and logs, which are kept (default: a temporary one, kept if a run fails)",
    )
    parser.add_argument("--bug", default="", help="build this bug into the workload, to see whether it is found")
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
