"""A feed that stops for twenty minutes at 500 trades a second, in log time, through the real matching agent.

    PYTHONPATH=tests .venv/bin/python benchmarks/silence.py [--rate 500] [--outage 1200] [--limit 1800]

Prints what was published, the incidents, and how fast legs were matched before, during and after the outage. Exit
code 1 if a trade broke falsely, or one that is missing did not break.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from legs import ours, theirs
from silence_case import TOPICS, Arrival, Journal, Matching, matching_on

from traderecon.transport import Outgoing

WARM_S, GRACE_S = 90, 60
BATCH = 4_000


def arrivals(options: argparse.Namespace, planted: set[int], end_s: int) -> Iterator[tuple[int, str, list[Arrival]]]:
    """The legs of each second, and its phase."""
    begin_s, back_s, backlog = WARM_S, WARM_S + options.outage, []
    for second in range(end_s):
        legs = []
        for place in range(options.rate if second < end_s - 5 * GRACE_S else 0):
            number = second * options.rate + place
            legs.append(Arrival(second + place / options.rate, ours(trade_id=f"T{number}")))
            if number not in planted:
                backlog.append(number)
        pace = 0 if begin_s <= second < back_s else options.catch_up if second >= back_s else len(backlog)
        sent, backlog = backlog[:pace], backlog[pace:]
        legs += [Arrival(second + 0.9, theirs(trade_id=f"T{number}")) for number in sent]
        phase = "before" if second < begin_s else "outage" if second < back_s else "catch-up" if backlog else "after"
        yield second, phase, legs


class Counts:
    """What was published: the newest state of each trade that ever broke, and how many results."""

    def __init__(self, matching: Matching) -> None:
        self.states: Counter[str] = Counter()
        self.broken: dict[str, str] = {}
        self.held = 0
        matching._note = self.note  # type: ignore[method-assign]  # a million results are counted, not remembered

    def note(self, topic: str, rows: Sequence[Outgoing]) -> None:
        """Count what is published."""
        for row in rows:
            value = row.value or b""
            if topic == TOPICS.standings:
                silent = json.loads(value).get("silent", ())
                self.held = max([self.held, *(each["held"] for each in silent)])
            elif topic in {TOPICS.reconciled, TOPICS.mismatch}:
                state = json.loads(value)["state"]
                self.states[state] += 1
                trade_id = (row.key or b"").decode()
                if state != "MATCHED" or trade_id in self.broken:
                    self.broken[trade_id] = state


async def run(options: argparse.Namespace, directory: Path) -> int:
    """Run the feed and print the figures; the exit code."""
    end_s = WARM_S + options.outage + options.outage * options.rate // (options.catch_up - options.rate) + 8 * GRACE_S
    first, last = (WARM_S + 60) * options.rate, (WARM_S + options.outage - 60) * options.rate
    planted = {first + place * (last - first) // options.missing for place in range(options.missing)}
    opened, open_before = 0, False
    legs: Counter[str] = Counter()
    spent_s: dict[str, float] = defaultdict(float)
    async with matching_on(directory, limit_s=options.limit) as matching:
        counts, journal = Counts(matching), Journal()
        for second, phase, of_second in arrivals(options, planted, end_s):
            journal.write(of_second, second + 1, second)
            begun_s = time.perf_counter()
            await matching.read(journal.batches(BATCH))
            spent_s[phase] += time.perf_counter() - begun_s
            legs[phase] += len(of_second)
            journal.drop()
            is_open = bool(matching.incidents())
            opened += is_open and not open_before
            open_before = is_open
    false = {trade_id for trade_id in counts.broken if int(trade_id[1:]) not in planted}
    unmatched = sum(state == "UNMATCHED" for state in counts.broken.values())
    print(f"results {dict(counts.states)}, held at most {counts.held:,}")
    print(f"false breaks {len(false)}, missing trades UNMATCHED {unmatched} of {len(planted)}, incidents {opened}")
    for phase, count in legs.items():
        print(f"{phase}: {count:,} legs in {spent_s[phase]:.1f} s, {count / max(spent_s[phase], 1e-9):,.0f} a second")
    return 0 if not false and unmatched == len(planted) and opened == 1 else 1


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rate", 500), ("outage", 1_200), ("limit", 1_800), ("catch-up", 5_000), ("missing", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    logging.disable(logging.CRITICAL)
    with TemporaryDirectory() as directory:
        return asyncio.run(run(parser.parse_args(), Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
