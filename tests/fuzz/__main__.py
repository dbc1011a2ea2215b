"""Fuzz a real worker on the embedded log, and account for every message.

    python -m fuzz [--messages 1000000] [--seed 1] [--round 100000] [--json]

Decoding, intake, journal, matching, sink: all of it runs as it does for a user. Prints the figures; ends with 1 and
the message that does not add up where one does not.
"""

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fuzz.accounts import AccountError, Accounts
from fuzz.messages import CHUNK, Fed, fuzzed
from pipeline_case import Installation

from traderecon.transport.log import Log

GRACE_S = 1
DECIDED_S = 1_800
PATIENCE_S = 120
"""A worker with a hundred thousand messages before it may write for long."""


def fuzz(directory: Path, seed: int, messages: int, at_once: int) -> Mapping[str, Any]:
    """Send so many messages to a worker, round by round; the figures. Raises AccountError, or Ended."""
    began_s = time.monotonic()
    installation = Installation(directory, grace_seconds=GRACE_S)
    installation.create_topics()
    accounts = Accounts(installation)
    try:
        worker = installation.start_ready()
        for first in range(0, messages, at_once):
            append(installation, accounts, fuzzed(seed, min(at_once, messages - first), first // CHUNK), seed + first)
            installation.until_decided(DECIDED_S)
            accounts.settled()
            sys.stderr.write(f"{accounts.figures['sent']:,} messages are accounted for\n")
        accounts.closed()
        conflicts = worker.metric("traderecon_result_conflicts_total")
        exit_code = worker.leave()
    finally:
        installation.close()
    if exit_code or conflicts:
        raise AccountError(f"the worker ended with {exit_code}, {conflicts} conflicts")
    codes = dict(sorted(accounts.codes.items()))
    return {"seed": seed, **accounts.figures, "seconds": round(time.monotonic() - began_s), "codes": codes}


def append(installation: Installation, accounts: Accounts, messages: Iterable[Fed], seed: int) -> None:
    """Append messages to partitions of no rule, and take note of where they are."""
    chance = random.Random(seed)
    places: defaultdict[tuple[str, int], list[Fed]] = defaultdict(list)
    for fed in messages:
        places[fed.topic, chance.randrange(installation.partitions)].append(fed)
    with Log.open(installation.data_dir / "log.db", patience_s=PATIENCE_S) as log:
        for (topic, partition), all_of_it in places.items():
            for start in range(0, len(all_of_it), CHUNK):
                some = all_of_it[start : start + CHUNK]
                now_ms = time.time_ns() // 1_000_000
                rows = [(fed.key, fed.value, now_ms, ()) for fed in some]
                [base] = log.append([(topic, partition, rows)])
                for offset, fed in enumerate(some, base):
                    accounts.sent(topic, partition, offset, fed)


def line(figures: Mapping[str, Any]) -> str:
    """The figures in one line."""
    return (
        f"seed {figures['seed']} | {figures['sent']:,} messages | {figures['legs']:,} legs, "
        f"{figures['rejected']:,} rejected | {figures['trades']:,} trades told, {figures['judged']:,} as the oracle "
        f"says | lost 0, crashes 0 | {figures['seconds']} s"
    )


def main() -> None:
    """Fuzz, and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--messages", type=int, default=1_000_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--round", type=int, default=100_000, help="messages sent and checked at a time")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    at_once = max(CHUNK, chosen.round // CHUNK * CHUNK)
    with TemporaryDirectory(prefix="traderecon-fuzz-") as folder:
        try:
            figures = fuzz(Path(folder), chosen.seed, chosen.messages, at_once)
        except AssertionError as error:
            sys.exit(f"seed {chosen.seed}: {error}")
    sys.stdout.write(f"{json.dumps(figures) if chosen.json else line(figures)}\n")


if __name__ == "__main__":
    main()
