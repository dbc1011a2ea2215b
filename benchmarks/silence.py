"""A feed that stops for twenty minutes at 500 trades a second, in log time, through the real matching agent.

    PYTHONPATH=tests .venv/bin/python benchmarks/silence.py [--rate 500] [--outage 1200] [--limit 1800]

Prints what was published, the incidents, and how fast legs were matched before, during and after the outage. A second
agent reads the same legs by rules whose grace is longer than the outage: the same trades wait for the same legs, but
none is held. How fast the backlog settled what was held is compared with how fast it settled what only waited. Exit
code 1 if a trade broke falsely, one that is missing did not break, there was not one incident, or the held trades were
settled at less than 0.9 of that rate.
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

import msgspec
from legs import ours, theirs
from silence_case import TOPICS, Arrival, Journal, Matching, matching_on

from traderecon.records.instants import NS_PER_S
from traderecon.rules import FOUNDING
from traderecon.transport import Outgoing

WARM_S, GRACE_S = 90, 60
BATCH = 4_000
SHARE_OF_CATCH_UP = 0.9


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
        self._noted: list[tuple[str, Sequence[Outgoing]]] = []
        matching._note = self.note  # type: ignore[method-assign]  # a million results are counted, not remembered

    def note(self, topic: str, rows: Sequence[Outgoing]) -> None:
        """Remember what is published, until ``count``."""
        self._noted.append((topic, rows))

    def count(self) -> None:
        """Count what was published: not in the time that is measured."""
        for topic, rows in self._noted:
            for row in rows:
                self._count(topic, row)
        self._noted = []

    def _count(self, topic: str, row: Outgoing) -> None:
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


class Feed:
    """A matching agent that reads the feed, and what it cost: by phase, the legs and the seconds they took."""

    def __init__(self, matching: Matching) -> None:
        self.matching, self.counts = matching, Counts(matching)
        self.incidents = 0
        self.legs: Counter[str] = Counter()
        self.spent_s: dict[str, float] = defaultdict(float)
        self._is_open = False

    async def read(self, journal: Journal, phase: str, legs: int) -> None:
        """Read a second of the journal."""
        begun_s = time.perf_counter()
        await self.matching.read(journal.batches(BATCH))
        self.spent_s[phase] += time.perf_counter() - begun_s
        self.legs[phase] += legs
        self.counts.count()
        was_open, self._is_open = self._is_open, bool(self.matching.incidents())
        self.incidents += self._is_open and not was_open

    def rate(self, phase: str) -> float:
        """The legs per second in a phase."""
        return self.legs[phase] / max(self.spent_s[phase], 1e-9)

    def print_rates(self) -> None:
        """Print how fast each phase was."""
        for phase, count in self.legs.items():
            print(f"  {phase}: {count:,} legs in {self.spent_s[phase]:.1f} s, {self.rate(phase):,.0f} a second")


async def run(options: argparse.Namespace, directory: Path) -> int:
    """Run the feed with and without a hold, and print the figures; the exit code.

    Both read each second, and take turns to be the first: what else this machine does, and what this process remembers
    of texts that it has written, serve both alike.
    """
    end_s = WARM_S + options.outage + options.outage * options.rate // (options.catch_up - options.rate) + 8 * GRACE_S
    first, last = (WARM_S + 60) * options.rate, (WARM_S + options.outage - 60) * options.rate
    planted = {first + place * (last - first) // options.missing for place in range(options.missing)}
    patient = msgspec.structs.replace(FOUNDING, grace_ns=2 * end_s * NS_PER_S)
    async with (
        matching_on(directory / "held", limit_s=options.limit) as holding,
        matching_on(directory / "waiting", patient) as waiting,
    ):
        journal, held, reference = Journal(), Feed(holding), Feed(waiting)
        for second, phase, of_second in arrivals(options, planted, end_s):
            journal.write(of_second, second + 1, second)
            feeds = (held,) if phase == "after" else (held, reference) if second % 2 else (reference, held)
            for feed in feeds:
                await feed.read(journal, phase, len(of_second))
            journal.drop()
    counts = held.counts
    false = {trade_id for trade_id in counts.broken if int(trade_id[1:]) not in planted}
    unmatched = sum(state == "UNMATCHED" for state in counts.broken.values())
    print(f"results {dict(counts.states)}, held at most {counts.held:,}")
    print(
        f"false breaks {len(false)}, missing trades UNMATCHED {unmatched} of {len(planted)}, incidents {held.incidents}"
    )
    held.print_rates()
    print("The same legs by rules whose grace is longer than the outage, so that nothing is held:")
    reference.print_rates()
    share = held.rate("catch-up") / reference.rate("catch-up")
    print(f"What was held was settled at {share:.2f} of the catch-up rate without a hold.")
    right = not false and unmatched == len(planted) and held.incidents == 1
    return 0 if right and share >= SHARE_OF_CATCH_UP else 1


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
